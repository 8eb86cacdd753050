"""Whoever is over his limit waits for his refusal, and nobody else does."""

import asyncio
from collections.abc import Awaitable
from functools import partial

import pytest

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.check import Checker
from extauthz.edge.credentials import Credential, gitlab_credential
from extauthz.edge.login import NoLogin
from extauthz.edge.mint import Mint
from extauthz.edge.refusals import Forbidden, Refusal, TooManyAttempts, Unauthenticated, Unavailable
from extauthz.edge.settings import Settings
from extauthz.edge.site import Site
from extauthz.edge.tarpit import MOST_HELD, Tarpit
from extauthz.grant import GrantSigner
from tests.access import KEY, SECRET

FOR_EVER = 3_600.0
SETTINGS = Settings.load(
    {"GITLAB_URL": "https://gitlab.example.org", "SECRET_KEY": SECRET.get_secret_value()}
)


class Refusing:
    """Access that everybody is refused, after having been asked for."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal

    async def in_project(self, credential: Credential, path: str) -> ProjectAccess:
        raise self.refusal

    async def by_number(self, credential: Credential, number: int) -> ProjectAccess:
        raise self.refusal

    async def everywhere(self, credential: Credential) -> GlobalAccess:
        raise self.refusal


async def _started() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _answer(refusal: Refusal, tarpit: Tarpit) -> int:
    """Return the HTTP status that a request ends with."""
    site = Site("http://localhost:5000", "")
    checker = Checker(
        Refusing(refusal),
        Mint(SETTINGS, GrantSigner(KEY)),
        [],
        credential_of=partial(gitlab_credential, session_cookie="mlflow-session", site=site),
        login=NoLogin(),
        site=site,
        tarpit=tarpit,
    )
    http = AttributeContext.HttpRequest(
        method="GET",
        host="localhost:5000",
        path="/acme/vision/tracking/api/2.0/mlflow/experiments/search",
        headers={"authorization": "Bearer made-up"},
    )
    question = CheckRequest(attributes=AttributeContext(request={"http": http}))
    answer = checker.check(question.SerializeToString())
    assert isinstance(answer, Awaitable)
    return CheckResponse.FromString(await answer).denied_response.status.code


async def test_a_refusal_for_too_many_attempts_is_held_and_then_given() -> None:
    moments = iter([FOR_EVER, 0.0])
    tarpit = Tarpit(seconds=lambda: next(moments))
    held = asyncio.create_task(_answer(TooManyAttempts("Wait."), tarpit))
    await _started()

    assert tarpit.held == 1
    assert not held.done()
    assert await _answer(TooManyAttempts("Wait."), tarpit) == 429
    held.cancel()
    await asyncio.wait({held})
    assert tarpit.held == 0


@pytest.mark.parametrize("refusal", [Unauthenticated("No."), Forbidden("No."), Unavailable("No.")])
async def test_no_other_refusal_is_held(refusal: Refusal) -> None:
    tarpit = Tarpit(seconds=lambda: FOR_EVER)

    assert await asyncio.wait_for(_answer(refusal, tarpit), 60) == refusal.status


async def test_who_finds_it_full_is_answered_at_once() -> None:
    """Held ones take up memory, and places among the checks that Envoy has under way."""
    tarpit = Tarpit(seconds=lambda: FOR_EVER)
    held = [asyncio.create_task(tarpit.hold()) for _ in range(MOST_HELD)]
    await _started()

    assert tarpit.held == MOST_HELD
    await asyncio.wait_for(tarpit.hold(), 60)
    assert tarpit.held == MOST_HELD
    for each in held:
        each.cancel()
    await asyncio.wait(held)
    assert tarpit.held == 0


async def test_they_end_scattered() -> None:
    """A thousand that ended together would be one long pause for everybody else."""
    tarpit = Tarpit()
    seconds = {tarpit._seconds() for _ in range(100)}

    assert len(seconds) > 90
    assert 0.5 <= min(seconds) <= max(seconds) <= 1.5
