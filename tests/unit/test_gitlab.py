"""The GitLab provider against a demo GitLab: what it says, and how many calls that takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from extauthz.edge.errors import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from extauthz.edge.gitlab import BATCH
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.operations import Operation
from extauthz.edge.outage import Busy, Down, Outage, Throttled
from extauthz.edge.provider import Project, Reach, User, Visibility
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Call, Upstream, open_session
from tests.access import TIMEOUT, Calls, asked, asker
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

PATH = "acme/vision/detector"
ESCAPED = "acme%2Fvision%2Fdetector"
ANN = User("gitlab:1", "ann")
ONE_CALL = ["currentUser,project"]
# What it takes where GraphQL resolves the caller and not the project.
BY_REST = [*ONE_CALL, f"/api/v4/projects/{ESCAPED}", "/api/v4/projects/1/members/all/1"]
FINE_GRAINED = ("Project: Read", "User: Read", "Member: Read")


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab with a user `ann` and a private project `acme/vision/detector`."""
    running.reset()
    running.create_user("ann")
    running.create_project(PATH)
    return running


@pytest.fixture
async def upstream(gitlab: GitLab) -> AsyncIterator[Upstream]:
    async with open_session() as session:
        yield Upstream(session, gitlab.url, name="GitLab", observer=Calls(), timeout=TIMEOUT)


@pytest.fixture
def provider(upstream: Upstream) -> Provider:
    return Provider(upstream)


@pytest.fixture
async def patient(gitlab: GitLab) -> AsyncIterator[Upstream]:
    """An upstream whose calls end when a test ends them, however slow the machine is."""
    async with open_session() as session:
        yield Upstream(session, gitlab.url, name="GitLab", observer=Calls(), timeout=600)


@asynccontextmanager
async def _hanging(
    gitlab: GitLab, path: str, *calls: Coroutine[object, object, object]
) -> AsyncIterator[None]:
    """Have calls under way at GitLab until the block ends, which none of them does by itself."""
    gitlab.faults("hang", path=path)
    under_way = [asyncio.create_task(call) for call in calls]
    while len(gitlab.calls(path)) < len(calls):  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)
    yield
    assert not any(task.done() for task in under_way)
    for task in under_way:
        task.cancel()
    await asyncio.wait(under_way)


async def _level(provider: Provider, token: str, path: str = PATH) -> int:
    return (await provider.project(asker(token), path))[1].level


async def test_a_project_costs_one_call(gitlab: GitLab, provider: Provider) -> None:
    gitlab.update_project(PATH, topics=["mlflow", "Vision"], visibility="internal", archived=True)
    gitlab.add_member("acme", "ann", MAINTAINER)

    found = await provider.project(asker(gitlab.token("ann")), PATH)

    assert found == (
        ANN,
        Project(
            id=1,
            path=PATH,
            level=MAINTAINER,
            topics=frozenset({"mlflow", "Vision"}),
            archived=True,
            visibility=Visibility.INTERNAL,
        ),
    )
    assert asked(gitlab) == ONE_CALL


LEVELS = [GUEST, PLANNER, REPORTER, SECURITY_MANAGER, DEVELOPER, MAINTAINER, OWNER]


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
@pytest.mark.parametrize("level", LEVELS)
async def test_every_level_is_passed_on_as_it_is(
    gitlab: GitLab, provider: Provider, level: int, permissions: tuple[str, ...] | None
) -> None:
    gitlab.add_member(PATH, "ann", level)

    assert await _level(provider, gitlab.token("ann", permissions=permissions)) == level


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_the_highest_of_all_memberships_counts(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    token = gitlab.token("ann", permissions=permissions)
    gitlab.add_member(PATH, "ann", GUEST)
    assert await _level(provider, token) == GUEST

    gitlab.add_member("acme", "ann", REPORTER)
    assert await _level(provider, token) == REPORTER

    gitlab.create_group("partners")
    gitlab.add_member("partners", "ann", OWNER)
    gitlab.share("acme/vision", "partners", DEVELOPER)
    assert await _level(provider, token) == DEVELOPER

    gitlab.share(PATH, "partners", MAINTAINER)
    assert await _level(provider, token) == MAINTAINER


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_who_only_sees_a_project_has_no_level(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    gitlab.update_project(PATH, visibility="public")

    assert await _level(provider, gitlab.token("ann", permissions=permissions)) == 0


async def test_an_administrator_has_the_level_of_his_membership(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.update_user("ann", admin=True)

    assert await _level(provider, gitlab.token("ann")) == 0


@pytest.mark.parametrize("kind", ["personal", "oauth"])
async def test_personal_and_oauth_tokens_are_known(
    gitlab: GitLab, provider: Provider, kind: str
) -> None:
    gitlab.add_member(PATH, "ann", GUEST)

    assert await _level(provider, gitlab.token("ann", kind=kind)) == GUEST


@pytest.mark.parametrize("place", [PATH, "acme"])
async def test_project_and_group_tokens_are_their_own_users(
    gitlab: GitLab, provider: Provider, place: str
) -> None:
    token = gitlab.access_token(place, DEVELOPER)

    user, project = await provider.project(asker(token), PATH)

    assert project.level == DEVELOPER
    assert user.subject == "gitlab:2"


async def test_the_letter_case_of_a_path_does_not_matter(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 40."""
    gitlab.add_member(PATH, "ann", GUEST)

    _, project = await provider.project(asker(gitlab.token("ann")), PATH.upper())

    assert (project.id, project.path) == (1, PATH)
    assert asked(gitlab) == ONE_CALL


@pytest.mark.parametrize("permissions", [None, FINE_GRAINED], ids=["graphql", "rest"])
async def test_an_old_path_leads_to_the_moved_project(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    """Threat 41."""
    gitlab.add_member(PATH, "ann", GUEST)
    gitlab.move_project(PATH, "contoso/eyes")

    _, project = await provider.project(asker(gitlab.token("ann", permissions=permissions)), PATH)

    assert (project.id, project.path, project.level) == (1, "contoso/eyes", GUEST)
    assert asked(gitlab)[:3] == [
        "currentUser,project",
        f"/api/v4/projects/{ESCAPED}",
        "currentUser,projects",
    ]


async def test_a_new_project_at_an_old_path_is_the_one_that_counts(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 41."""
    gitlab.add_member(PATH, "ann", OWNER)
    gitlab.move_project(PATH, "contoso/eyes")
    second = gitlab.create_project(PATH, visibility="public")

    _, project = await provider.project(asker(gitlab.token("ann")), PATH)

    assert (project.id, project.level) == (second, 0)


@pytest.mark.parametrize("path", ["acme/vision/nothing", "acme/vision", PATH])
async def test_missing_and_invisible_projects_are_alike(
    gitlab: GitLab, provider: Provider, path: str
) -> None:
    with pytest.raises(NotFound, match="no such project, or you are not a member"):
        await provider.project(asker(gitlab.token("ann")), path)

    assert len(gitlab.calls()) == 2


async def test_a_redirect_to_another_host_is_not_believed(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 74."""
    gitlab.faults("redirect", path="/projects/", location="https://evil.org/api/v4/projects/1")

    with pytest.raises(Outage):
        await provider.project(asker(gitlab.token("ann")), PATH)

    assert len(gitlab.calls()) == 2


async def test_a_project_that_moved_out_of_sight_is_missing(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.faults("redirect", path="/projects/", location="/api/v4/projects/1")

    with pytest.raises(NotFound):
        await provider.project(asker(gitlab.token("ann")), PATH)


async def test_a_fine_grained_token_is_judged_by_rest(gitlab: GitLab, provider: Provider) -> None:
    """Threat 76."""
    gitlab.add_member(PATH, "ann", DEVELOPER)

    assert await _level(provider, gitlab.token("ann", permissions=FINE_GRAINED)) == DEVELOPER
    assert asked(gitlab) == BY_REST


async def test_a_pending_access_request_gives_no_level(gitlab: GitLab, provider: Provider) -> None:
    """Threat 77."""
    # Older GitLabs count one in a project's `permissions`, but not among its members.
    gitlab.set_version("16.8")
    gitlab.add_member("acme", "ann", DEVELOPER)
    gitlab.faults("error", path="/members/", status=404)

    assert await _level(provider, gitlab.token("ann")) == 0


async def test_a_fine_grained_token_that_may_not_see_members_has_what_the_project_says(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.add_member("acme", "ann", REPORTER)

    token = gitlab.token("ann", permissions=["Project: Read"])

    assert await _level(provider, token) == REPORTER


async def test_a_fine_grained_token_that_may_not_see_the_project_is_told_why(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.add_member(PATH, "ann", OWNER)

    with pytest.raises(NotFound, match="lacks `Project: Read`"):
        await provider.project(asker(gitlab.token("ann", permissions=["Job: Read"])), PATH)


async def test_an_old_gitlab_is_asked_by_rest(gitlab: GitLab, provider: Provider) -> None:
    gitlab.set_version("16.8")
    gitlab.add_member("acme", "ann", DEVELOPER)

    user, project = await provider.project(asker(gitlab.token("ann")), PATH)

    assert (user, project.level) == (ANN, DEVELOPER)
    assert asked(gitlab) == [BY_REST[0], "/api/v4/user", *BY_REST[1:]]


async def test_a_gitlab_without_graphql_is_asked_by_rest(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    gitlab.faults("error", path="/api/graphql", status=404)

    assert await _level(provider, gitlab.token("ann")) == DEVELOPER


@pytest.mark.parametrize(
    ("broken", "status", "refusal"),
    [
        ("/user", 401, Unauthenticated),
        ("/user", 403, Forbidden),
        ("/user", 404, Outage),
        ("/projects/", 401, Unauthenticated),
        ("/projects/", 403, Forbidden),
        ("/projects/", 404, NotFound),
        ("/members/", 401, Unauthenticated),
        ("/members/", 403, Forbidden),
        ("/members/", 418, Outage),
    ],
)
async def test_a_refusal_half_way_is_a_refusal(
    gitlab: GitLab, provider: Provider, broken: str, status: int, refusal: type[Refusal]
) -> None:
    gitlab.set_version("16.8")
    gitlab.add_member(PATH, "ann", OWNER)
    gitlab.faults("error", path=broken, status=status)

    with pytest.raises(refusal):
        await provider.project(asker(gitlab.token("ann")), PATH)


@pytest.mark.parametrize("token", ["glpat-made-up", "0" * 64, "made-up"])
async def test_an_unknown_token_is_refused(gitlab: GitLab, provider: Provider, token: str) -> None:
    with pytest.raises(Unauthenticated, match="does not accept this token"):
        await provider.project(asker(token), PATH)

    assert asked(gitlab)[1:] == ["/api/v4/personal_access_tokens/self"] * token.startswith("glpat-")


async def test_an_ended_token_is_refused(gitlab: GitLab, provider: Provider) -> None:
    for token in (gitlab.token("ann", revoked=True), gitlab.token("ann", expires_in=-1)):
        with pytest.raises(Unauthenticated):
            await provider.project(asker(token), PATH)


@pytest.mark.parametrize("state", ["blocked", "deactivated"])
async def test_a_blocked_account_is_refused(gitlab: GitLab, provider: Provider, state: str) -> None:
    """Threat 44."""
    token = gitlab.token("ann")
    gitlab.update_user("ann", state=state)

    with pytest.raises(Forbidden, match="may be blocked"):
        await provider.project(asker(token), PATH)


async def test_a_token_without_the_scopes_is_told_which_it_needs(
    gitlab: GitLab, provider: Provider
) -> None:
    """Threat 46."""
    with pytest.raises(Forbidden, match="`api`, or `read_api`"):
        await provider.project(asker(gitlab.token("ann", scopes=["read_user"])), PATH)


async def test_a_token_with_the_scopes_that_is_refused_is_a_bad_token(
    gitlab: GitLab, provider: Provider
) -> None:
    # GitLab refuses a bare personal token of a user who has switched DPoP on.
    gitlab.faults("error", path="/api/graphql", status=401)

    with pytest.raises(Unauthenticated):
        await provider.project(asker(gitlab.token("ann")), PATH)


async def test_a_bad_token_is_a_bad_token_also_when_gitlab_fails_to_explain(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.faults("error", path="self")

    with pytest.raises(Unauthenticated):
        await provider.project(asker("glpat-made-up"), PATH)


async def test_a_bad_token_is_not_explained_while_strangers_wait(
    gitlab: GitLab, patient: Upstream
) -> None:
    provider = Provider(patient)
    strangers = [
        provider.reach(asker(f"made-up-{number}")) for number in range(Line.STRANGERS.slots)
    ]

    async with _hanging(gitlab, "self", *strangers):
        with pytest.raises(Unauthenticated):
            await provider.project(asker("glpat-made-up", proven=True), PATH)

        assert len(gitlab.calls("self")) == Line.STRANGERS.slots


async def test_a_view_holds_no_check_and_no_stranger_up(gitlab: GitLab, patient: Upstream) -> None:
    provider = Provider(patient)
    gitlab.add_member(PATH, "ann", GUEST)
    token = gitlab.token("ann")
    call = Call(Operation.USER, "/api/v4/version", {}, line=Line.VIEWS)
    view = asker(token, proven=True, view=True)

    async with _hanging(gitlab, "version", *(patient.ask(call) for _ in range(Line.VIEWS.slots))):
        gives_up = asyncio.create_task(provider.projects(view, [1]))
        await provider.project(asker(token, proven=True), PATH)
        await provider.projects(asker(token, view=True), [1])
        with pytest.raises(Busy):
            await gives_up
        waits = asyncio.create_task(provider.projects(view, [1]))
        await asyncio.sleep(0)

        assert asked(gitlab)[Line.VIEWS.slots :] == [*ONE_CALL, "currentUser,projects"]
        assert not waits.done()

    assert (await waits)[0] == ANN


async def test_who_is_proven_is_no_stranger_until_refused(
    gitlab: GitLab, provider: Provider
) -> None:
    ann = asker(gitlab.token("ann"))
    await provider.projects(ann, [1])
    assert ann.proven

    gitlab.revoke(ann.credential.secret.get_secret_value())
    with pytest.raises(Unauthenticated):
        await provider.projects(ann, [1])

    assert not ann.proven


@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (("throttle", {"seconds": 9}), Throttled),
        (("error", {"status": 503}), Down),
        (("html", {"status": 403}), Outage),
        (("html", {"status": 404}), Outage),
        (("reset", {}), Down),
        (("hang", {}), Down),
        (("truncate", {}), Down),
        (("huge", {}), Outage),
        (("redirect", {"location": "/users/sign_in"}), Outage),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("broken", ["/api/graphql", "/api/v4/projects/", "/members/", "/user"])
async def test_no_fault_is_mistaken_for_an_answer(
    gitlab: GitLab,
    provider: Provider,
    broken: str,
    fault: tuple[str, dict[str, object]],
    trouble: type[Unavailable],
) -> None:
    """Threats 74 and 75."""
    gitlab.set_version("16.8")
    gitlab.add_member(PATH, "ann", OWNER)
    effect, details = fault
    gitlab.faults(effect, path=broken, **details)

    with pytest.raises(trouble):
        await provider.project(asker(gitlab.token("ann")), PATH)


async def test_projects_are_asked_for_in_batches(gitlab: GitLab, provider: Provider) -> None:
    ids = [gitlab.create_project(f"acme/p{number}") for number in range(2 * BATCH)]
    gitlab.add_member("acme", "ann", REPORTER)

    user, found = await provider.projects(asker(gitlab.token("ann")), [1, *ids])

    assert user == ANN
    assert {project.id: project.level for project in found} == dict.fromkeys([1, *ids], REPORTER)
    assert asked(gitlab) == ["currentUser,projects"] * 3


async def test_projects_that_are_gone_or_hidden_are_left_out(
    gitlab: GitLab, provider: Provider
) -> None:
    seen = gitlab.create_project("other/open", visibility="public")

    _, found = await provider.projects(asker(gitlab.token("ann")), [1, seen, 404])

    assert [(project.id, project.level) for project in found] == [(seen, 0)]


@pytest.mark.parametrize("permissions", [FINE_GRAINED, None], ids=["fine-grained", "old"])
async def test_batches_fall_back_on_rest(
    gitlab: GitLab, provider: Provider, permissions: tuple[str, ...] | None
) -> None:
    if permissions is None:
        gitlab.set_version("16.8")
    hidden = gitlab.create_project("other/hidden")
    gitlab.create_group("partners")
    gitlab.add_member("partners", "ann", OWNER)
    gitlab.share(PATH, "partners", DEVELOPER)

    user, found = await provider.projects(
        asker(gitlab.token("ann", permissions=permissions)), [1, hidden]
    )

    assert user == ANN
    assert [(project.id, project.level) for project in found] == [(1, DEVELOPER)]


async def test_no_projects_still_prove_the_caller(gitlab: GitLab, provider: Provider) -> None:
    gitlab.update_project(PATH, visibility="public")

    assert await provider.projects(asker(gitlab.token("ann")), []) == (ANN, [])
    assert asked(gitlab) == ["currentUser"]
    with pytest.raises(Unauthenticated):
        await provider.projects(asker("made-up"), [])


async def test_a_bad_token_does_not_cost_a_call_for_every_batch(
    gitlab: GitLab, provider: Provider
) -> None:
    with pytest.raises(Unauthenticated):
        await provider.projects(asker("made-up"), range(1, 10 * BATCH))

    assert len(gitlab.calls()) == 1


async def test_a_batch_that_fails_fails_them_all(gitlab: GitLab, provider: Provider) -> None:
    ids = [gitlab.create_project(f"acme/p{number}") for number in range(3 * BATCH)]
    gitlab.add_member("acme", "ann", REPORTER)
    token = gitlab.token("ann")
    gitlab.faults("latency", seconds=0.0, times=2)
    gitlab.faults("error", status=502, times=1)

    with pytest.raises(Down):
        await provider.projects(asker(token), ids)


async def test_a_batch_by_rest_believes_no_redirect(gitlab: GitLab, provider: Provider) -> None:
    gitlab.add_member(PATH, "ann", GUEST)
    token = gitlab.token("ann", permissions=FINE_GRAINED)
    gitlab.faults("redirect", path="/projects/", location="/api/v4/projects/1")

    with pytest.raises(Outage):
        await provider.projects(asker(token), [1])


@pytest.mark.parametrize("kind", ["personal", "oauth"])
@pytest.mark.parametrize(
    ("scopes", "writes"),
    [(["api"], True), (["read_api", "api"], True), (["read_api"], False), (["read_api_x"], False)],
)
async def test_only_the_api_scope_writes(
    gitlab: GitLab, provider: Provider, kind: str, scopes: list[str], *, writes: bool
) -> None:
    reach = await provider.reach(asker(gitlab.token("ann", kind=kind, scopes=scopes)))

    assert reach == Reach(writes=writes)
    assert len(gitlab.calls()) == 1


async def test_a_personal_token_ends_at_midnight(gitlab: GitLab, provider: Provider) -> None:
    token = gitlab.token("ann", expires_in=40 * 86_400)

    reach = await provider.reach(asker(token))

    assert reach.expires is not None
    end = datetime.fromtimestamp(reach.expires, UTC)
    assert (end.hour, end.minute, end.second) == (0, 0, 0)
    assert 39 * 86_400 < reach.expires - time.time() < 41 * 86_400


async def test_an_oauth_token_counts_its_seconds(gitlab: GitLab, provider: Provider) -> None:
    token = gitlab.token("ann", kind="oauth", expires_in=7200)

    reach = await provider.reach(asker(token))

    assert reach.expires is not None
    assert 7190 < reach.expires - time.time() < 7210


@pytest.mark.parametrize("secret", ["ab" * 32, "glpat-somebody"])
async def test_a_token_of_the_other_kind_is_recognised_by_asking_twice(
    gitlab: GitLab, provider: Provider, secret: str
) -> None:
    # The prefix of personal tokens can be configured, so that any text may be one.
    kind = "personal" if secret.startswith("ab") else "oauth"
    gitlab.change("create_token", username="ann", scopes=["api"], kind=kind, secret=secret)

    assert await provider.reach(asker(secret)) == Reach(writes=True)
    assert len(gitlab.calls()) == 2


async def test_a_token_that_gitlab_does_not_describe_reads(
    gitlab: GitLab, provider: Provider
) -> None:
    fine_grained = gitlab.token("ann", permissions=FINE_GRAINED, scopes=["granular"])

    assert await provider.reach(asker(fine_grained)) == Reach(writes=False)
    assert await provider.reach(asker("made-up")) == Reach(writes=False, described=False)


@pytest.mark.parametrize("effect", ["error", "hang", "html", "redirect"])
async def test_a_fault_is_no_description(gitlab: GitLab, provider: Provider, effect: str) -> None:
    gitlab.faults(effect, location="/users/sign_in")

    with pytest.raises(Outage):
        await provider.reach(asker(gitlab.token("ann")))


async def test_nothing_but_the_token_as_bearer_is_sent(gitlab: GitLab, provider: Provider) -> None:
    gitlab.add_member(PATH, "ann", OWNER)
    token = gitlab.token("ann", permissions=FINE_GRAINED)
    await provider.project(asker(token), PATH)
    await provider.reach(asker(token))

    for call in gitlab.calls():
        assert "authorization" in call.headers
        assert not {"private-token", "cookie", "job-token"} & set(call.headers)
        assert token not in call.path
