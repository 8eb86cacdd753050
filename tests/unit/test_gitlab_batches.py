"""Many projects at once: what that costs, and that an answer is whole."""

from collections.abc import AsyncIterator

import pytest

from extauthz.edge.gitlab import BATCH
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.outage import Down, Outage
from extauthz.edge.refusals import Unauthenticated
from tests.access import asked, asker
from tests.acme import PATH
from tests.gitlab import DEVELOPER, GUEST, OWNER, REPORTER, GitLab
from tests.provider import ANN, FINE_GRAINED, anns, providing


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    return anns(running)


@pytest.fixture
async def provider(gitlab: GitLab) -> AsyncIterator[Provider]:
    async with providing(gitlab) as provider:
        yield provider


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
