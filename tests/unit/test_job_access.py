"""Access of CI jobs, decided against a demo GitLab: what a job may do, and what it costs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from extauthz.edge.access import ProjectAccess
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.breaker import Breaker
from extauthz.edge.cache import Fingerprints
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.errors import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.job_access import JobAccess
from extauthz.edge.jwks import SigningKeys
from extauthz.edge.outage import Throttled
from extauthz.edge.policy import Policy
from extauthz.edge.provider import User
from extauthz.edge.upstream import Upstream, open_session
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import SECRET, TIMEOUT, Calls, Clock, asked, settled
from tests.gitlab import (
    DEVELOPER,
    GUEST,
    MAINTAINER,
    OWNER,
    PLANNER,
    REPORTER,
    SECURITY_MANAGER,
    GitLab,
)

AUDIENCE = "https://mlflow.example.org"
PATH, OTHER = "acme/vision/detector", "acme/vision/other"
KEYS = "/oauth/discovery/keys"
FACTS = "currentUser,project"


@dataclass(frozen=True)
class World:
    """The edge's access side for jobs, and the GitLab that it asks."""

    access: JobAccess
    gitlab: GitLab
    clock: Clock
    wall: Clock
    service_token: str

    async def in_project(self, token: str, path: str = PATH) -> ProjectAccess:
        """Return the access to a project, at once or after a while."""
        return await settled(self.access.in_project(credential(token), path))

    def known(self, token: str, path: str = PATH) -> ProjectAccess:
        """Return the access to a project, which must not need waiting for."""
        access = self.access.in_project(credential(token), path)
        assert isinstance(access, ProjectAccess)
        return access

    async def refusal(self, token: str, kind: type[Refusal], path: str = PATH) -> str:
        """Return the message of a refusal."""
        with pytest.raises(kind) as caught:
            await self.in_project(token, path)
        assert token not in str(caught.value)
        return str(caught.value)

    def pass_by(self, seconds: float) -> None:
        """Let time pass on all clocks but GitLab's."""
        self.clock.pass_by(seconds)
        self.wall.pass_by(seconds)


@asynccontextmanager
async def deciding(
    gitlab: GitLab,
    *,
    policy: Policy | None = None,
    service_token: str | None = None,
    fresh: float = 30,
    stale: float = 600,
) -> AsyncIterator[World]:
    """Decide about jobs as the edge does, on clocks that the test moves."""
    clock, wall = Clock(), Clock(time.time())
    service_token = service_token or gitlab.token("service", scopes=["read_api"])
    async with open_session() as session:
        upstream = Upstream(
            session,
            gitlab.url,
            name="GitLab",
            observer=Calls(),
            breaker=Breaker(clock=clock),
            timeout=TIMEOUT,
        )
        keys = SigningKeys(upstream, clock=clock)
        access = JobAccess(
            Provider(upstream),
            keys,
            issuer=gitlab.url,
            audience=AUDIENCE,
            service_token=SecretStr(service_token),
            policy=policy or Policy(),
            fingerprints=Fingerprints(SECRET, gitlab.url),
            lifetimes=Lifetimes(fresh=fresh, stale=stale),
            clock=clock,
            wall=wall,
        )
        yield World(access, gitlab, clock, wall, service_token)
        await access.close()
        await keys.close()


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` develops two projects that `service` sees."""
    running.reset()
    for path in (PATH, OTHER):
        running.create_project(path)
    for name, level in (("ann", DEVELOPER), ("service", REPORTER)):
        running.create_user(name)
        running.add_member("acme", name, level)
    return running


def credential(token: str) -> Credential:
    return Credential(Kind.JOB, SecretStr(token))


def minted(gitlab: GitLab, path: str = PATH, user: str = "ann", /, **overrides: Any) -> str:
    return gitlab.mint_id_token(path, user, AUDIENCE, **overrides)


async def test_a_developers_job_writes_in_its_project(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert access.user == User("gitlab:1", "ann")
    assert (access.project_id, access.project_path) == (1, PATH)
    assert (access.role, access.why) == (Role.WRITE, None)


@pytest.mark.parametrize(
    ("level", "role"),
    [
        (GUEST, Role.READ),
        (PLANNER, Role.READ),
        (REPORTER, Role.READ),
        (SECURITY_MANAGER, Role.READ),
        (DEVELOPER, Role.WRITE),
        (MAINTAINER, Role.WRITE),
        (OWNER, Role.WRITE),
    ],
)
async def test_a_job_may_do_what_its_user_may(gitlab: GitLab, level: int, role: Role) -> None:
    gitlab.add_member("acme", "ann", level)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.role, access.why) == (role, Why.GUEST if role is Role.READ else None)


@pytest.mark.parametrize("visitors_read", [False, True])
@pytest.mark.parametrize("level", [None, "minimal access", "robot"])
async def test_a_job_without_a_level_is_no_visitor(
    gitlab: GitLab, level: str | None, *, visitors_read: bool
) -> None:
    gitlab.update_project(PATH, visibility="public")
    token = minted(gitlab, user_access_level=level)
    async with deciding(gitlab, policy=Policy(visitors_read=visitors_read)) as world:
        await world.refusal(token, NotFound)

    assert asked(gitlab) == [KEYS]


async def test_a_new_project_costs_one_call_and_a_known_one_none(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        first = await world.in_project(token)
        assert asked(gitlab) == [KEYS, FACTS]

        for _ in range(50):
            assert world.known(token) is first
        assert world.known(token, PATH.upper()) is first

    assert len(gitlab.calls()) == 2


async def test_all_jobs_of_a_project_cost_one_call(gitlab: GitLab) -> None:
    gitlab.create_user("bob")
    gitlab.add_member("acme", "bob", GUEST)
    tokens = [minted(gitlab, PATH, user) for user in ("ann", "bob") * 10]
    async with deciding(gitlab) as world:
        for token in tokens:
            await world.in_project(token)
        names = [world.known(token).user.name for token in tokens]
        roles = [world.known(token).role for token in tokens]

    assert names == ["ann", "bob"] * 10
    assert roles == [Role.WRITE, Role.READ] * 10
    assert asked(gitlab) == [KEYS, FACTS]


async def test_jobs_that_come_at_once_share_the_call(gitlab: GitLab) -> None:
    gitlab.faults("latency", path="graphql", seconds=0.2)
    tokens = [minted(gitlab) for _ in range(20)]
    async with deciding(gitlab) as world:
        await asyncio.gather(*(world.in_project(token) for token in tokens * 5))

    assert asked(gitlab) == [KEYS, FACTS]


async def test_each_project_has_its_own_facts(gitlab: GitLab) -> None:
    gitlab.update_project(OTHER, archived=True)
    async with deciding(gitlab) as world:
        here = await world.in_project(minted(gitlab))
        there = await world.in_project(minted(gitlab, OTHER), OTHER)

    assert (here.role, there.role) == (Role.WRITE, Role.READ)
    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_the_facts_of_a_project_are_asked_for_anew_after_a_while(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        first = await world.in_project(token)
        gitlab.update_project(PATH, archived=True)
        world.pass_by(29.9)
        assert world.known(token) is first
        world.pass_by(0.1)

        access = await world.in_project(token)
        assert world.known(token) is access

    assert (access.role, access.why) == (Role.READ, Why.ARCHIVED)
    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_facts_are_never_older_than_their_time_for_a_job_that_comes_later(
    gitlab: GitLab,
) -> None:
    early, late = minted(gitlab), minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(early)
        world.pass_by(29)
        await world.in_project(late)
        gitlab.update_project(PATH, archived=True)
        world.pass_by(1)

        assert (await world.in_project(late)).why is Why.ARCHIVED
        assert (await world.in_project(early)).why is Why.ARCHIVED

    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_without_a_cache_time_every_check_asks(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab, fresh=0, stale=0) as world:
        for _ in range(3):
            await world.in_project(token)

    assert asked(gitlab) == [KEYS, FACTS, FACTS, FACTS]


async def test_another_project_is_as_if_it_did_not_exist(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        told = await world.refusal(token, NotFound, OTHER)
        assert told == await world.refusal(token, NotFound, "acme/nothing")
        assert asked(gitlab) == [KEYS]
        await world.in_project(token)

        with pytest.raises(NotFound):
            world.access.in_project(credential(token), OTHER)

    assert asked(gitlab) == [KEYS, FACTS]


@pytest.mark.parametrize("path", [f"{PATH}.", f"{PATH}/", "acme/vision", "detector", "1", ""])
async def test_a_path_that_looks_alike_is_another_project(gitlab: GitLab, path: str) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound, path)


async def test_a_job_has_no_view_of_everything(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        with pytest.raises(Forbidden, match="/tracking") as caught:
            world.access.everywhere(credential(minted(gitlab)))

    assert "CI_PROJECT_PATH" in str(caught.value)
    assert not gitlab.calls()


async def test_a_new_project_at_a_freed_path_is_not_the_jobs(gitlab: GitLab) -> None:
    """Threat 41: the path is only an alias, so the id decides."""
    token = minted(gitlab)
    gitlab.move_project(PATH, "acme/vision/moved")
    gitlab.create_project(PATH)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound)
        assert (await world.in_project(minted(gitlab))).project_id == 3


async def test_a_project_that_moved_while_its_job_runs_is_the_same(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.move_project(PATH, "acme/vision/moved")
    async with deciding(gitlab) as world:
        access = await world.in_project(token)

    assert (access.project_id, access.project_path) == (1, "acme/vision/moved")


@pytest.mark.parametrize("overrides", [{"project_id": "2"}, {"project_id": "99"}])
async def test_an_id_of_another_project_is_refused(
    gitlab: GitLab, overrides: dict[str, object]
) -> None:
    token = minted(gitlab, job_project_id=None, job_project_path=None, **overrides)
    async with deciding(gitlab) as world:
        await world.refusal(token, NotFound)


async def test_a_project_without_the_topics_is_as_if_it_did_not_exist(gitlab: GitLab) -> None:
    gitlab.update_project(OTHER, topics=["mlflow", "x"])
    async with deciding(gitlab, policy=Policy(mandatory_topics=frozenset({"mlflow"}))) as world:
        await world.refusal(minted(gitlab), NotFound)

        assert (await world.in_project(minted(gitlab, OTHER), OTHER)).role is Role.WRITE


async def test_an_archived_project_is_read_only(gitlab: GitLab) -> None:
    gitlab.update_project(PATH, archived=True)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.role, access.why) == (Role.READ, Why.ARCHIVED)


@pytest.mark.parametrize(
    "overrides",
    [
        {"aud": "https://other.example.org"},
        {"iss": "https://gitlab.evil.example"},
        {"exp": 1},
        {"iat": 1},
        {"exp": None},
        {"user_id": None},
    ],
)
async def test_a_token_with_wrong_claims_is_refused(
    gitlab: GitLab, overrides: dict[str, object]
) -> None:
    """Threat 48: GitLab's signature alone proves nothing."""
    async with deciding(gitlab) as world:
        await world.refusal(minted(gitlab, **overrides), Unauthenticated)

    assert asked(gitlab) == [KEYS]


@pytest.mark.parametrize("tail", [".", "/", ".evil.example"])
async def test_an_issuer_that_looks_alike_is_refused(gitlab: GitLab, tail: str) -> None:
    """Threat 48."""
    async with deciding(gitlab) as world:
        await world.refusal(minted(gitlab, iss=gitlab.url + tail), Unauthenticated)


@pytest.mark.parametrize(
    "knobs",
    [
        {"algorithm": "none"},
        {"algorithm": "HS256"},
        {"unpublished_key": True},
        {"header": {"kid": "made-up"}},
        {"header": {"kid": None}},
        {"header": {"jwk": {"kty": "RSA"}}},
        {"header": {"jku": "https://evil.example.org/keys"}},
        {"header": {"x5u": "https://evil.example.org/chain"}},
    ],
)
async def test_a_token_that_gitlab_did_not_sign_is_refused_and_remembered(
    gitlab: GitLab, knobs: dict[str, object]
) -> None:
    """CVE-2026-28802, CVE-2026-27962 and the rest of threat 48; `test_jwks` has them all."""
    gitlab.tamper(**knobs)
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        message = await world.refusal(token, Unauthenticated)
        calls = len(gitlab.calls())
        with pytest.raises(Unauthenticated):
            world.access.in_project(credential(token), PATH)

    assert "id_tokens" in message
    assert len(gitlab.calls()) == calls <= 1


async def test_a_gitlab_whose_clock_is_off_is_told_of(gitlab: GitLab) -> None:
    gitlab.tamper(clock_skew=120)
    async with deciding(gitlab) as world:
        assert "clocks" in await world.refusal(minted(gitlab), Unauthenticated)


@pytest.mark.parametrize(
    "fork", [{"project_path": "ann/detector", "project_id": "7"}, {"job_project_id": "7"}]
)
async def test_the_job_of_a_forks_merge_request_is_refused(
    gitlab: GitLab, fork: dict[str, object]
) -> None:
    """Threat 49."""
    token = minted(gitlab, **fork)
    async with deciding(gitlab) as world:
        for path in (PATH, "ann/detector"):
            assert "fork" in await world.refusal(token, Forbidden, path)

    assert asked(gitlab) == [KEYS]


async def test_a_token_is_good_for_a_quarter_of_an_hour_whatever_it_says(gitlab: GitLab) -> None:
    """Threat 50: nothing tells us that a job has ended."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=86_400)
    async with deciding(gitlab) as world:
        for _ in range(29):
            assert (await world.in_project(token)).role is Role.WRITE
            world.pass_by(30)
        await world.in_project(token)
        world.pass_by(31)

        assert "15 minutes" in await world.refusal(token, Unauthenticated)


@pytest.mark.parametrize("seconds", [20, 10_000])
async def test_nothing_is_kept_beyond_the_end_of_a_token(gitlab: GitLab, seconds: int) -> None:
    """Threat 50."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=seconds)
    lifetime = min(seconds, 900)
    async with deciding(gitlab, fresh=86_400) as world:
        await world.in_project(token)
        world.pass_by(lifetime - 5)
        world.known(token)
        # As much as clocks may differ comes on top, but is kept nowhere.
        world.pass_by(36)

        await world.refusal(token, Unauthenticated)


async def test_in_an_outage_a_known_job_reads(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        assert world.known(token).role is Role.WRITE
        world.pass_by(31)

        stale = await world.in_project(token)
        world.pass_by(5)
        assert await world.in_project(token) is stale
        gitlab.heal()
        world.pass_by(31)
        assert (await world.in_project(token)).role is Role.WRITE

    assert (stale.project_id, stale.role, stale.why) == (1, Role.READ, Why.STALE)


async def test_in_an_outage_a_reader_keeps_his_reason(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", GUEST)
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        world.pass_by(31)

        assert (await world.in_project(token)).why is Why.GUEST


async def test_in_an_outage_a_new_job_of_a_known_project_reads(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        gitlab.faults("error")
        world.pass_by(31)

        assert (await world.in_project(minted(gitlab))).why is Why.STALE


async def test_facts_are_stale_for_their_time_and_no_longer(gitlab: GitLab) -> None:
    """One stale answer must not make another one fresh again."""
    token = minted(gitlab)
    async with deciding(gitlab, fresh=30, stale=300) as world:
        await world.in_project(token)
        gitlab.faults("error")
        for _ in range(10):
            world.pass_by(32)
            assert (await world.in_project(token)).why is Why.STALE
        world.pass_by(10)

        await world.refusal(token, Unavailable)


async def test_stale_ends_with_the_token(gitlab: GitLab) -> None:
    """Threat 50: not even in an outage."""
    token = gitlab.mint_id_token(PATH, "ann", AUDIENCE, timeout=100)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        gitlab.faults("error")
        world.pass_by(90)
        assert (await world.in_project(token)).why is Why.STALE
        world.pass_by(41)

        await world.refusal(token, Unauthenticated)


async def test_in_an_outage_nobody_is_proven_without_keys(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("error")
    async with deciding(gitlab) as world:
        await world.refusal(token, Unavailable)
        gitlab.heal()
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE


async def test_in_an_outage_of_the_keys_alone_those_that_are_known_count(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        gitlab.faults("error", path=KEYS)
        world.clock.pass_by(4_000)

        assert (await world.in_project(minted(gitlab))).role is Role.WRITE


async def test_a_new_key_is_known_after_one_call(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await world.in_project(minted(gitlab))
        world.pass_by(10)
        gitlab.rotate_keys()
        for _ in range(5):
            await world.in_project(minted(gitlab))

    assert asked(gitlab) == [KEYS, FACTS, KEYS]


async def test_a_flood_of_made_up_keys_costs_next_to_nothing(gitlab: GitLab) -> None:
    """Threat 48."""
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        for number in range(30):
            gitlab.tamper(header={"kid": f"made-up-{number}"})
            await world.refusal(minted(gitlab), Unavailable)
        world.known(token)

    assert asked(gitlab) == [KEYS, FACTS]


async def test_a_refused_service_token_is_not_the_callers_fault(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        gitlab.revoke(world.service_token)
        with capture_logs() as logs:
            message = await world.refusal(token, Unavailable)
            with pytest.raises(Unavailable):
                world.access.in_project(credential(token), PATH)

    assert "administrator" in message
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("job.service_token_refused", "error")
    ]
    assert world.service_token not in str(logs)


async def test_a_blocked_service_account_is_not_the_callers_fault(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        gitlab.block("service")
        with capture_logs() as logs:
            await world.refusal(minted(gitlab), Unavailable)

    assert [log["event"] for log in logs] == ["job.service_token_refused"]


async def test_a_refused_service_token_leaves_nothing_stale(gitlab: GitLab) -> None:
    here, there = minted(gitlab), minted(gitlab, OTHER)
    async with deciding(gitlab) as world:
        await world.in_project(here)
        await world.in_project(there, OTHER)
        gitlab.revoke(world.service_token)
        world.pass_by(31)
        await world.refusal(here, Unavailable)
        gitlab.faults("error")

        for token, path in ((here, PATH), (there, OTHER)):
            await world.refusal(token, Unavailable, path)
            world.pass_by(31)
            await world.refusal(token, Unavailable, path)


async def test_a_service_token_that_works_again_is_found_out_after_half_a_minute(
    gitlab: GitLab,
) -> None:
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        gitlab.block("service")
        await world.refusal(token, Unavailable)
        gitlab.update_user("service", state="active")
        calls = len(gitlab.calls())
        world.pass_by(29)
        await world.refusal(token, Unavailable)
        assert len(gitlab.calls()) == calls
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE


async def test_a_project_that_the_service_token_does_not_see_is_logged(gitlab: GitLab) -> None:
    gitlab.create_project("ann/notebook")
    token = minted(gitlab, "ann/notebook")
    async with deciding(gitlab) as world:
        with capture_logs() as logs:
            await world.refusal(token, NotFound, "ann/notebook")

    assert [(log["event"], log["project"]) for log in logs] == [("job.project_not_shown", 3)]


async def test_what_the_service_token_lacks_is_for_the_log_only(gitlab: GitLab) -> None:
    weak = gitlab.token("service", permissions=["Job: Read"])
    async with deciding(gitlab, service_token=weak) as world:
        with capture_logs() as logs:
            message = await world.refusal(minted(gitlab), NotFound)

    assert "fine-grained" not in message
    assert [(log["event"], "fine-grained" in log["cause"]) for log in logs] == [
        ("job.project_not_shown", True)
    ]


async def test_a_limited_service_token_is_not_asked_with_until_its_pause_is_over(
    gitlab: GitLab,
) -> None:
    token = minted(gitlab)
    gitlab.faults("throttle", path="graphql", seconds=20, times=1)
    async with deciding(gitlab) as world:
        await world.refusal(token, Throttled)
        world.pass_by(19)
        await world.refusal(token, Throttled)
        world.pass_by(1)

        assert (await world.in_project(token)).role is Role.WRITE

    assert asked(gitlab) == [KEYS, FACTS, FACTS]


async def test_the_service_token_is_never_shown_to_be_the_jobs_user(gitlab: GitLab) -> None:
    """The facts come with the service account's own name and level, which mean nothing here."""
    gitlab.add_member("acme", "service", OWNER)
    gitlab.add_member("acme", "ann", GUEST)
    async with deciding(gitlab) as world:
        access = await world.in_project(minted(gitlab))

    assert (access.user.name, access.role) == ("ann", Role.READ)


async def test_a_caller_who_leaves_does_not_end_the_question_of_the_others(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("latency", seconds=0.2)
    async with deciding(gitlab) as world:
        leaving = asyncio.create_task(world.in_project(token))
        staying = asyncio.create_task(world.in_project(token))
        await asyncio.sleep(0)
        leaving.cancel()

        assert (await staying).role is Role.WRITE


async def test_the_same_token_of_another_kind_shares_nothing(gitlab: GitLab) -> None:
    """CVE-2026-33496: a cache that did not tell kinds of credentials apart."""
    token = minted(gitlab)
    async with deciding(gitlab) as world:
        await world.in_project(token)
        other = world.access.in_project(Credential(Kind.TOKEN, SecretStr(token)), PATH)

        assert not isinstance(other, ProjectAccess)
        await other
