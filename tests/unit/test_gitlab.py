"""The GitLab provider against a demo GitLab: what it says of a project, by GraphQL or REST."""

from collections.abc import AsyncIterator

import pytest

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.outage import Down, Outage, Throttled
from extauthz.edge.provider import Project, Visibility
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from tests.access import asked, asker
from tests.acme import PATH
from tests.gitlab import DEVELOPER, MAINTAINER, OWNER, REPORTER, GitLab
from tests.provider import ANN, BY_REST, FINE_GRAINED, ONE_CALL, anns, level_of, providing


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    return anns(running)


@pytest.fixture
async def provider(gitlab: GitLab) -> AsyncIterator[Provider]:
    async with providing(gitlab) as provider:
        yield provider


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


async def test_a_fine_grained_token_is_judged_by_rest(gitlab: GitLab, provider: Provider) -> None:
    """Threat 76."""
    gitlab.add_member(PATH, "ann", DEVELOPER)

    assert await level_of(provider, gitlab.token("ann", permissions=FINE_GRAINED)) == DEVELOPER
    assert asked(gitlab) == BY_REST


async def test_a_pending_access_request_gives_no_level(gitlab: GitLab, provider: Provider) -> None:
    """Threat 77."""
    # Older GitLabs count one in a project's `permissions`, but not among its members.
    gitlab.set_version("16.8")
    gitlab.add_member("acme", "ann", DEVELOPER)
    gitlab.faults("error", path="/members/", status=404)

    assert await level_of(provider, gitlab.token("ann")) == 0


async def test_a_fine_grained_token_that_may_not_see_members_has_what_the_project_says(
    gitlab: GitLab, provider: Provider
) -> None:
    gitlab.add_member("acme", "ann", REPORTER)

    token = gitlab.token("ann", permissions=["Project: Read"])

    assert await level_of(provider, token) == REPORTER


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

    assert await level_of(provider, gitlab.token("ann")) == DEVELOPER


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


async def test_nothing_but_the_token_as_bearer_is_sent(gitlab: GitLab, provider: Provider) -> None:
    gitlab.add_member(PATH, "ann", OWNER)
    token = gitlab.token("ann", permissions=FINE_GRAINED)
    await provider.project(asker(token), PATH)
    await provider.reach(asker(token))

    for call in gitlab.calls():
        assert "authorization" in call.headers
        assert not {"private-token", "cookie", "job-token"} & set(call.headers)
        assert token not in call.path
