"""What GitLab says of a token: whether it writes, and when it ends."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.outage import Outage
from extauthz.edge.provider import Reach
from tests.access import asker
from tests.gitlab import GitLab
from tests.provider import FINE_GRAINED, anns, providing


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    return anns(running)


@pytest.fixture
async def provider(gitlab: GitLab) -> AsyncIterator[Provider]:
    async with providing(gitlab) as provider:
        yield provider


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
