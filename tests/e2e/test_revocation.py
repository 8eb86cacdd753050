"""What GitLab takes away is gone within the documented time, by whatever way somebody came."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any, TypeVar

import pytest

from extauthz.edge.job_claims import OLDEST
from extauthz.edge.settings import Settings
from tests.caller import Caller
from tests.ci_jobs import AUDIENCE, minted, service_token
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.polling import eventually
from tests.servers.redis import redis_server
from tests.servers.stack import Stack, login_gateway
from tests.signing_in import in_session_of, signed_in
from tests.tenants import Project, Tenants, unique
from tests.visitor import Visitor

T = TypeVar("T")
README = (Path(__file__).parents[2] / "README.md").read_text()
TOPIC = "mlflow-here"
# In seconds.
BELIEVED = 0.4
READS, WRITES = (200, 403), (200, 200)
ABSENT, UNKNOWN, REFUSED = (404, 404), (401, 401), (403, 403)


@pytest.fixture(scope="module")
def settings(whole_stack: Stack) -> Mapping[str, str]:
    """A service token that sees every project, and a topic that each of them needs."""
    return {
        "CI_AUDIENCE": AUDIENCE,
        "GITLAB_SERVICE_TOKEN": service_token(whole_stack.gitlab),
        "GITLAB_MANDATORY_TOPICS": TOPIC,
        "PROJECT_CACHE_TIMEOUT": str(BELIEVED),
    }


@pytest.fixture(scope="module")
def cookies(
    whole_stack: Stack, settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Before an edge that keeps sessions in cookies."""
    folder = tmp_path_factory.mktemp("cookies")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow, settings) as running:
        yield running


@pytest.fixture(scope="module")
def redis(
    whole_stack: Stack, settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Stack]]:
    """Before two edges that keep sessions in one Redis."""
    with ExitStack() as stack:
        server = stack.enter_context(redis_server(tmp_path_factory.mktemp("redis")))
        given = {**settings, "SESSION_STORE_URL": server.url}
        folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
        parts = whole_stack.gitlab, whole_stack.mlflow
        yield [stack.enter_context(login_gateway(each, *parts, given)) for each in folders]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a project, who came by one way; `token` is empty in a session."""

    project: Project
    user: str
    token: str
    caller: Caller

    @property
    def everywhere(self) -> Caller:
        return Caller(self.caller.port, "", self.caller.headers)

    @property
    def gitlab(self) -> GitLab:
        return self.project.tenants.stack.gitlab


WAYS = ("a token", "a session in a cookie", "a session in Redis")


@pytest.fixture(params=WAYS)
def member(request: pytest.FixtureRequest) -> Member:
    """A developer, by each way."""
    store = "redis" if request.param == "a session in Redis" else "cookies"
    running = request.getfixturevalue(store)
    return member_by(request.param, running[0] if isinstance(running, list) else running)


def member_by(way: str, stack: Stack, *, user: str = "", **claims: Any) -> Member:
    project = Tenants(stack).project(topics=[TOPIC])
    user = user or project.member(DEVELOPER)
    stack.gitlab.add_member(project.path, user, DEVELOPER)
    match way:
        case "a token":
            token = project.tenants.token(user)
        case "a CI job":
            token = minted(project, user, **claims)
        case _:
            return Member(project, user, "", signed_in(stack, user, f"/{project.path}/tracking"))
    return Member(project, user, token, project.caller(token))


def read(caller: Caller) -> int:
    return caller.call("POST experiments/search", max_results=1).status


def write(caller: Caller) -> int:
    return caller.call("POST experiments/create", name=unique("experiment")).status


def may(caller: Caller) -> tuple[int, int]:
    return read(caller), write(caller)


def visible(caller: Caller) -> tuple[int, list[str]]:
    """Return what a view shows: the status, and the names of the experiments."""
    answer = caller.call("POST experiments/search", max_results=1000)
    return answer.status, sorted(each["name"] for each in answer.json().get("experiments", []))


def lowered(member: Member) -> None:
    member.gitlab.add_member(member.project.path, member.user, GUEST)


def removed(member: Member) -> None:
    member.gitlab.remove_member(member.project.path, member.user)


def blocked(member: Member) -> None:
    member.gitlab.block(member.user)


def revoked(member: Member) -> None:
    if member.token:
        member.gitlab.revoke(member.token)
    else:
        member.gitlab.revoke_applications(member.user)


def without_topic(member: Member) -> None:
    member.gitlab.update_project(member.project.path, topics=["another"])


def archived(member: Member) -> None:
    member.gitlab.update_project(member.project.path, archived=True)


Change = Callable[[Member], None]
CHANGES: list[tuple[Change, tuple[int, int]]] = [
    (lowered, READS),
    (removed, ABSENT),
    (blocked, REFUSED),
    (revoked, UNKNOWN),
    (without_topic, ABSENT),
    (archived, READS),
]


def first_new(gitlab: GitLab, probe: Callable[[], T], *, seconds: float = BELIEVED) -> T:
    """Return the first answer for which GitLab was asked again after a change.

    Those before are all alike, and were asked for while what GitLab had said could be believed.
    """
    gitlab.forget_calls()
    answers: list[T] = []
    changed = monotonic()

    def asked() -> bool:
        sent = monotonic()
        answers.append(probe())
        again = bool(gitlab.calls("/api/"))
        assert again or sent <= changed + seconds
        return again

    eventually(asked, wanted=True)
    *kept, answer = answers
    assert all(each == kept[0] for each in kept)
    return answer


class TestInAProject:
    @pytest.mark.parametrize(("change", "expected"), CHANGES)
    def test_nothing_outlives_the_next_question_to_gitlab(
        self, member: Member, change: Change, expected: tuple[int, int]
    ) -> None:
        """Threats 44 and 70."""
        caller, server = member.caller, member.project.tenants.stack.mlflow
        assert may(caller) == WRITES
        change(member)
        assert first_new(member.gitlab, partial(write, caller)) == expected[1]
        kept = server.contents()
        assert [may(caller) for _ in range(3)] == [expected] * 3
        assert server.contents() == kept

    def test_a_token_is_not_revived_by_another_one_of_the_same_user(self, member: Member) -> None:
        """Threat 71."""
        stack = member.project.tenants.stack
        others = [member.project.caller(member.project.tenants.token(member.user))]
        if member.token:
            others.append(signed_in(stack, member.user, member.caller.prefix))
        assert [may(each) for each in (member.caller, *others)] == [WRITES] * (1 + len(others))
        revoked(member)

        def ask_all() -> tuple[int, int]:
            assert [may(each) for each in others] == [WRITES] * len(others)
            return may(member.caller)

        eventually(ask_all, UNKNOWN)
        assert [ask_all() for _ in range(3)] == [UNKNOWN] * 3


class TestEverywhere:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (removed, (200, ["theirs"])),
            (without_topic, (200, ["theirs"])),
            (lowered, (200, ["ours", "theirs"])),
            (archived, (200, ["ours", "theirs"])),
            (blocked, (403, [])),
            (revoked, (401, [])),
        ],
    )
    def test_nothing_outlives_the_next_question_to_gitlab(
        self, member: Member, change: Change, expected: tuple[int, list[str]]
    ) -> None:
        """Threat 70."""
        stack, everywhere = member.project.tenants.stack, member.everywhere
        other = member_by("a token", stack, user=member.user)
        member.caller.post("experiments/create", name="ours")
        other.caller.post("experiments/create", name="theirs")
        eventually(lambda: visible(everywhere), (200, ["ours", "theirs"]))
        change(member)
        assert first_new(member.gitlab, partial(visible, everywhere)) == expected
        assert [visible(everywhere) for _ in range(3)] == [expected] * 3
        assert write(everywhere) in (403, expected[0])


class TestInACiJob:
    @pytest.mark.parametrize(("change", "expected"), [(archived, READS), (without_topic, ABSENT)])
    def test_what_is_about_the_project_counts_with_the_next_question(
        self, cookies: Stack, change: Change, expected: tuple[int, int]
    ) -> None:
        member = member_by("a CI job", cookies)
        assert may(member.caller) == WRITES
        change(member)
        assert first_new(member.gitlab, partial(write, member.caller)) == expected[1]
        assert [may(member.caller) for _ in range(3)] == [expected] * 3

    def test_what_is_about_the_user_counts_a_quarter_of_an_hour_after_the_job_began(
        self, whole_stack: Stack, settings: Mapping[str, str], tmp_path: Path
    ) -> None:
        """Threat 50: GitLab cannot revoke the token, whose `exp` is far away."""
        # What is known of the job could be believed for longer than the token.
        given = {**settings, "PROJECT_CACHE_TIMEOUT": "600"}
        with login_gateway(tmp_path, whole_stack.gitlab, whole_stack.mlflow, given) as stack:
            begun = int(time()) - OLDEST + 8
            member = member_by("a CI job", stack, iat=begun, exp=begun + 86_400)
            assert may(member.caller) == WRITES
            for change in (lowered, removed, blocked):
                change(member)
            eventually(lambda: may(member.caller), UNKNOWN)
            assert time() >= begun + OLDEST
            kept = stack.mlflow.contents()
            assert [may(member.caller) for _ in range(3)] == [UNKNOWN] * 3
            assert stack.mlflow.contents() == kept
            # The token of a later job says that he may not.
            later = minted(member.project, member.user)
            assert may(member.project.caller(later)) == ABSENT


class TestALogout:
    def test_ends_every_copy_of_a_cookie(self, cookies: Stack) -> None:
        """Threat 60."""
        visitor, copy, view = with_a_copy(cookies)
        other = signed_in(cookies, visitor.user, copy.prefix)
        assert (may(copy), may(other), read(view)) == (WRITES, WRITES, 200)
        assert visitor.sign_out().location == f"{cookies.public_url}/auth/logout"
        eventually(lambda: (may(copy), read(view)), (UNKNOWN, 401))
        assert may(other) == WRITES

    def test_counts_at_once_everywhere_with_redis(self, redis: list[Stack]) -> None:
        """Threat 60: not even who has just been served elsewhere is served again."""
        one, two = redis
        visitor, copy, view = with_a_copy(one)
        origin = ("Origin", two.public_url)
        headers = tuple(origin if each[0] == "Origin" else each for each in copy.headers)
        there = Caller(two.envoy.port, copy.prefix, headers)
        everywhere = Caller(two.envoy.port, "", headers)
        assert (may(copy), may(there)) == (WRITES, WRITES)
        assert (read(view), read(everywhere)) == (200, 200)
        visitor.sign_out()
        assert (may(copy), may(there)) == (UNKNOWN, UNKNOWN)
        assert (read(view), read(everywhere)) == (401, 401)


def with_a_copy(stack: Stack) -> tuple[Visitor, Caller, Caller]:
    """Sign somebody in; returns him, and whoever has a copy of his cookie in two views."""
    project = Tenants(stack).project(topics=[TOPIC])
    visitor = Visitor(stack, project.member(DEVELOPER))
    visitor.open(visitor.sign_in(visitor.begin()))
    copy = in_session_of(visitor, f"/{project.path}/tracking")
    return visitor, copy, in_session_of(visitor)


class TestTheDocumentedTime:
    def test_is_that_of_the_setting_and_of_the_code(self) -> None:
        section = README.partition("## How soon a change at GitLab counts\n")[2].partition("##")[0]
        role, token, _ = [row for row in section.splitlines() if row.startswith("| ")][1:]
        seconds = Settings.model_fields["project_cache_timeout"].default
        for row in (role, token):
            _, change, of_tokens, of_jobs, _ = (cell.strip() for cell in row.split("|"))
            assert of_tokens == f"`PROJECT_CACHE_TIMEOUT` ({seconds} s)", change
            assert of_jobs.startswith(f"{OLDEST // 60} minutes after the job began"), change
        assert role.rstrip(" |").endswith(f"archiving: {seconds} s")

    @pytest.mark.parametrize("seconds", ["2", "30"])
    def test_is_what_a_known_answer_is_believed_for(
        self, whole_stack: Stack, settings: Mapping[str, str], tmp_path: Path, seconds: str
    ) -> None:
        given = {**settings, "PROJECT_CACHE_TIMEOUT": seconds}
        with login_gateway(tmp_path, whole_stack.gitlab, whole_stack.mlflow, given) as stack:
            members = [member_by(way, stack) for way in ("a token", "a session", "a CI job")]
            callers = [each.caller for each in members]
            callers += [each.everywhere for each in members[:2]]
            assert [write(each) for each in callers] == [200, 200, 200, 403, 403]
            for change in (archived, without_topic):
                for member in members:
                    change(member)
            if seconds == "30":
                stack.gitlab.forget_calls()
                assert [write(each) for each in callers] == [200, 200, 200, 403, 403]
                assert stack.gitlab.calls("/api/") == []
                return
            for each in members:
                assert first_new(stack.gitlab, partial(write, each.caller), seconds=2) == 404
