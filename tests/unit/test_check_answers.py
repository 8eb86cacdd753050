"""What the decision core tells besides its answer: to observers, in the log, and to the browser."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from extauthz.edge.access import GlobalAccess
from extauthz.edge.check import DEADLINE, Checker
from extauthz.edge.credentials import Credential, Kind, gitlab_credential
from extauthz.edge.in_session import InSession
from extauthz.edge.login import NoLogin
from extauthz.edge.mint import Mint
from extauthz.edge.record import Outcome, Place, Record
from extauthz.edge.refusals import TooManyProjects
from extauthz.edge.site import Site
from extauthz.grant import GrantSigner
from tests.checker import (
    ALICE,
    BEARER,
    EVERYTHING,
    KEY,
    READER,
    SETTINGS,
    WRITER,
    Outcomes,
    answer_of,
    checker,
    cookies_in,
    granted,
    question,
    refused,
)

VIEW = "/acme/vision/tracking/api/2.0/mlflow/experiments/search"


class Observed(Outcomes):
    """Access that remembers whom it was asked for."""

    credential: Credential | None = None

    def in_project(self, credential: Credential, path: str) -> Any:
        self.credential = credential
        return super().in_project(credential, path)

    def by_number(self, credential: Credential, number: int) -> Any:
        self.credential = credential
        return super().by_number(credential, number)

    def everywhere(self, credential: Credential) -> Any:
        self.credential = credential
        return super().everywhere(credential)


class Core:
    """The decision core, an observer, and a clock that a quarter of a second passes on."""

    def __init__(self, accesses: Outcomes, *, framed_by: tuple[str, ...] = ()) -> None:
        self.records: list[Record] = []
        self.now = 100.0
        site = Site("http://localhost:5000", "")
        self.checker = Checker(
            accesses,
            Mint(SETTINGS, GrantSigner(KEY)),
            [self],
            credential_of=self._credential_of,
            login=NoLogin(),
            site=site,
            framed_by=framed_by,
            clock=self._clock,
        )
        self._site = site

    def check_decided(self, record: Record) -> None:
        self.records.append(record)

    def _clock(self) -> float:
        self.now += 0.25
        return self.now

    def _credential_of(self, headers: Mapping[str, str]) -> Credential:
        return gitlab_credential(headers, session_cookie="mlflow-session", site=self._site)


@pytest.mark.parametrize("later", [False, True])
async def test_an_observer_is_told_once_what_was_decided_about_whom(*, later: bool) -> None:
    core = Core(Outcomes(WRITER, later=later))
    granted(await answer_of(core.checker, question()))
    (record,) = core.records
    assert record == Record(
        outcome=Outcome.ALLOWED,
        reason="none",
        view=Place.PROJECT,
        status=200,
        seconds=0.25,
        method="GET",
        request="17",
        project="acme/vision",
        subject=ALICE.subject,
    )


async def test_an_observer_is_told_of_a_refusal_as_far_as_the_request_was_understood() -> None:
    core = Core(Outcomes(WRITER))
    await answer_of(core.checker, b"\xff")
    await answer_of(core.checker, question("/a//b"))
    assert [(each.outcome, each.status) for each in core.records] == [(Outcome.REFUSED, 400)] * 2
    assert [(each.method, each.request) for each in core.records] == [("", ""), ("GET", "17")]
    assert {each.view for each in core.records} == {Place.NONE}


@pytest.mark.parametrize("later", [False, True])
async def test_an_accident_is_logged_by_its_kind_and_request_and_quotes_nobody(
    *, later: bool
) -> None:
    """The text of an error could hold a credential."""
    core = Core(Outcomes(RuntimeError("token glpat-secret"), later=later))
    with capture_logs() as logs:
        assert refused(await answer_of(core.checker, question()))[0] == 503
    assert logs == [
        {
            "event": "check.failed",
            "log_level": "error",
            "error": "RuntimeError",
            "request": "17",
        }
    ]


async def test_a_refusal_is_no_accident() -> None:
    with capture_logs() as logs:
        await answer_of(Core(Outcomes(TimeoutError())).checker, question())
        await answer_of(Core(Outcomes(WRITER)).checker, b"\xff")
    assert logs == []


@pytest.mark.parametrize(
    ("path", "outcome"), [(VIEW, READER), ("/auth/p/42", READER), ("/graphql", EVERYTHING)]
)
async def test_access_is_asked_for_the_one_who_asks(path: str, outcome: Any) -> None:
    """And learns the address that a credential was sent from: those who guess are slowed down."""
    accesses = Observed(outcome)
    sent = BEARER | {"x-envoy-external-address": "198.51.100.4"}
    await answer_of(checker(accesses), question(path, headers=sent))
    assert accesses.credential == Credential(Kind.TOKEN, SecretStr("glpat-some-token"))
    assert accesses.credential.client == "198.51.100.4"


async def test_a_way_into_a_project_keeps_the_refreshed_session() -> None:
    core = checker(Outcomes(InSession(READER, ("mlflow-session=new",))), login=True)
    answer = await answer_of(core, question("/auth/p/42", headers={"cookie": "mlflow-session=old"}))
    assert refused(answer)[0] == 302
    assert answer.denied_response is not None
    assert cookies_in(answer.denied_response.headers) == ["mlflow-session=new"]


async def test_too_large_a_view_loses_no_refreshed_session() -> None:
    many = GlobalAccess(ALICE, tuple(range(1, 400_000_000, 20_000)))
    refreshed: Any = InSession(many, ("mlflow-session=new",))
    core = checker(Outcomes(refreshed), login=True)
    answer = await answer_of(core, question("/", headers={"cookie": "mlflow-session=old"}))
    assert refused(answer)[0] == TooManyProjects.status
    assert answer.denied_response is not None
    assert cookies_in(answer.denied_response.headers) == ["mlflow-session=new"]


async def test_a_refusal_may_be_shown_in_the_frame_of_the_sites_that_are_named() -> None:
    hub = "https://hub.example.org"
    core = Core(Outcomes(WRITER), framed_by=(hub,))
    answer = await answer_of(core.checker, question(VIEW, headers={"accept": "text/html"}))
    assert refused(answer)[0] == 401
    assert answer.denied_response is not None
    policies = [
        option.header.value
        for option in answer.denied_response.headers
        if option.header and option.header.key == "content-security-policy"
    ]
    assert [policy.endswith(f"frame-ancestors {hub}") for policy in policies] == [True]


async def test_a_path_that_was_parsed_before_is_decided_anew_for_each_caller() -> None:
    """What is remembered of a path is which project it means, and never who may see it."""
    accesses = Outcomes(WRITER)
    core = checker(accesses)
    long = f"/acme/vision/tracking/api/2.0/{'x' * 300}"
    for path in (VIEW, VIEW, long, long):
        granted(await answer_of(core, question(path)))
        assert refused(await answer_of(core, question(path, headers={})))[0] == 401
    assert accesses.asked == ["acme/vision"] * 4


async def test_what_strangers_ask_for_does_not_fill_the_memory() -> None:
    core = checker(Outcomes(WRITER))
    await answer_of(core, question(f"/a/b/tracking/api/2.0/{'x' * 300}", headers={}))
    remembered = core._usual_scope.cache_info()
    assert remembered.currsize == 0
    assert remembered.maxsize is not None
    await answer_of(core, question(VIEW, headers={}))
    assert core._usual_scope.cache_info().currsize == 1


def test_our_own_answer_comes_before_envoy_stops_waiting() -> None:
    """Envoy's answer to a deadline of its own says nothing about coming back."""
    assert 4 <= DEADLINE < 5
