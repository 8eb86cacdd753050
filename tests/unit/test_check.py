"""The decision core under every answer and every failure that access can have."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderMap, HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextRequest,
    CheckRequest,
    CheckResponse,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.check import Checker
from extauthz.edge.credentials import Credential, gitlab_credential, sharinghub_credential
from extauthz.edge.errors import (
    Forbidden,
    NotFound,
    TooManyProjects,
    Unauthenticated,
    Unavailable,
)
from extauthz.edge.gitlab_login import GitLabLogin
from extauthz.edge.in_session import InSession
from extauthz.edge.login import NoLogin
from extauthz.edge.mint import Mint
from extauthz.edge.provider import User
from extauthz.edge.settings import Settings
from extauthz.edge.sharinghub_login import SharingHubLogin
from extauthz.edge.site import Site
from extauthz.grant import HEADER, Grant, GrantKey, GrantSigner, GrantVerifier, View, Why
from extauthz.levels import Role

SETTINGS = Settings.load(
    {"GITLAB_URL": "https://gitlab.example.org", "SECRET_KEY": "0123456789abcdef0123456789abcdef"}
)
KEY = GrantKey(SETTINGS.grant_key)
ALICE = User("gitlab:7", "alice")
WRITER = ProjectAccess(ALICE, 42, "acme/vision", Role.WRITE, None)
READER = ProjectAccess(ALICE, 42, "acme/vision", Role.READ, Why.GUEST)
EVERYTHING = GlobalAccess(ALICE, (3, 42))
BEARER = {"authorization": "Bearer glpat-some-token"}

Outcome = ProjectAccess | GlobalAccess | InSession[ProjectAccess] | BaseException


class Outcomes:
    """Access with a fixed outcome, at once or later: what the core must survive."""

    def __init__(self, outcome: Outcome, *, later: bool = False) -> None:
        self.outcome = outcome
        self.later = later
        self.asked: list[str | None] = []

    def in_project(self, credential: Credential, path: str) -> Any:
        self.asked.append(path)
        return self._answer()

    def by_number(self, credential: Credential, number: int) -> Any:
        self.asked.append(str(number))
        return self._answer()

    def everywhere(self, credential: Credential) -> Any:
        self.asked.append(None)
        return self._answer()

    def _answer(self) -> Any:
        if self.later:
            return self._answer_later()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    async def _answer_later(self) -> Outcome:
        await asyncio.sleep(0)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Hanging(Outcomes):
    async def _answer_later(self) -> Outcome:
        await asyncio.sleep(3600)
        return self.outcome


def checker(
    accesses: Outcomes,
    *,
    deadline: float = 4.5,
    prefix: str = "",
    hub: bool = False,
    login: bool = False,
) -> Checker:
    """Return the core in GitLab mode, or in SharingHub mode with an automatic login."""
    site = Site("http://localhost:5000", prefix)
    by_hub = SharingHubLogin(
        "https://hub.example.org", site, session_cookie="session", automatic=True
    )
    by_gitlab = GitLabLogin(site, automatic=False) if login else NoLogin()
    return Checker(
        accesses,
        Mint(SETTINGS, GrantSigner(KEY)),
        [],
        credential_of=partial(sharinghub_credential, session_cookie="session", site=site)
        if hub
        else partial(gitlab_credential, session_cookie="mlflow-session", site=site),
        login=by_hub if hub else by_gitlab,
        site=site,
        deadline=deadline,
    )


def question(
    path: str = "/acme/vision/tracking/api/2.0/mlflow/experiments/search",
    *,
    method: str = "GET",
    headers: Mapping[str, str] = BEARER,
    host: str = "localhost:5000",
    raw: bool = False,
) -> bytes:
    http = AttributeContextHttpRequest(id="17", method=method, path=path, host=host)
    if raw:
        pairs = [HeaderValue(key=key, raw_value=value.encode()) for key, value in headers.items()]
        http.header_map = HeaderMap(headers=pairs)
    else:
        http.headers = dict(headers)
    return bytes(
        CheckRequest(attributes=AttributeContext(request=AttributeContextRequest(http=http)))
    )


async def answer_of(checker: Checker, payload: bytes) -> CheckResponse:
    pending = checker.check(payload)
    raw = await pending if isinstance(pending, Awaitable) else pending
    assert raw, "an empty answer would allow"
    return CheckResponse.parse(raw)


def granted(answer: CheckResponse) -> tuple[Grant, str]:
    """Return the grant and the path of an OK."""
    assert answer.status is not None
    assert answer.status.code == 0
    assert answer.ok_response is not None
    headers = {
        option.header.key: option.header.value
        for option in answer.ok_response.headers
        if option.header
    }
    return GrantVerifier([KEY], instance=SETTINGS.instance).open(headers[HEADER]), headers[":path"]


def refused(answer: CheckResponse) -> tuple[int, str]:
    """Return status and body of a denial."""
    assert answer.status is not None
    assert answer.status.code != 0
    assert answer.ok_response is None
    assert answer.denied_response is not None
    assert answer.denied_response.status is not None
    return int(answer.denied_response.status.code), answer.denied_response.body


@pytest.mark.parametrize("later", [False, True])
async def test_a_project_view_is_forwarded_under_its_grant(*, later: bool) -> None:
    accesses = Outcomes(WRITER, later=later)
    grant, path = granted(
        await answer_of(checker(accesses), question("/Acme/Vision/tracking/?x=1"))
    )
    assert accesses.asked == ["Acme/Vision"]
    assert path == "/?x=1"
    assert (grant.view, grant.role, grant.why) == (View.PROJECT, Role.WRITE, None)
    assert (grant.project_id, grant.project_path) == (42, "acme/vision")
    assert (grant.subject, grant.name) == ("gitlab:7", "alice")
    assert grant.links.project == "https://gitlab.example.org/acme/vision"


async def test_the_reason_for_only_reading_travels_with_the_grant() -> None:
    grant, _ = granted(await answer_of(checker(Outcomes(READER)), question()))
    assert (grant.role, grant.why) == (Role.READ, Why.GUEST)


async def test_the_global_view_reads_what_the_caller_may() -> None:
    accesses = Outcomes(EVERYTHING)
    grant, path = granted(await answer_of(checker(accesses), question("/graphql")))
    assert accesses.asked == [None]
    assert path == "/graphql"
    assert (grant.view, grant.role, grant.projects) == (View.GLOBAL, Role.READ, (3, 42))


@pytest.mark.parametrize("path", ["/health", "/a/b/tracking/health", "/static-files/x.js"])
async def test_what_is_public_needs_no_caller_and_no_look_up(path: str) -> None:
    accesses = Outcomes(NotFound("never asked"))
    grant, _ = granted(await answer_of(checker(accesses), question(path, headers={})))
    assert grant == Grant(view=View.PUBLIC, instance=SETTINGS.instance)
    assert accesses.asked == []


async def test_a_cached_decision_needs_no_loop_and_signs_once() -> None:
    core = checker(Outcomes(WRITER))
    first, second = core.check(question()), core.check(question())
    assert isinstance(first, bytes)
    assert first == second


async def test_a_missing_slash_is_a_redirect_that_keeps_the_query() -> None:
    status, _ = refused(
        answer := await answer_of(checker(Outcomes(WRITER)), question("/a/b/tracking?x=1"))
    )
    assert status == 308
    assert answer.denied_response is not None
    assert answer.denied_response.headers[0].header is not None
    assert answer.denied_response.headers[0].header.value == "/a/b/tracking/?x=1"


async def test_the_public_path_is_not_part_of_what_mlflow_sees() -> None:
    core = checker(Outcomes(WRITER), prefix="/mlflow")
    _, path = granted(await answer_of(core, question("/mlflow/acme/vision/tracking/version")))
    assert path == "/version"
    assert refused(await answer_of(core, question("/acme/vision/tracking/version")))[0] == 404


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Unauthenticated("x"), 401),
        (Forbidden("x"), 403),
        (NotFound("x"), 404),
        (TooManyProjects("x"), 409),
        (Unavailable("x"), 503),
        (TimeoutError(), 503),
        (RuntimeError("token glpat-secret"), 503),
        (MemoryError(), 503),
    ],
    ids=repr,
)
async def test_each_failure_is_a_refusal(outcome: Exception, status: int, *, later: bool) -> None:
    """Threat 4."""
    core = checker(Outcomes(outcome, later=later))
    answered, body = refused(await answer_of(core, question()))
    assert answered == status
    assert "glpat-secret" not in body
    assert set(json.loads(body)) == {"error_code", "message"}


async def test_an_access_that_hangs_is_a_refusal_before_envoy_gives_up() -> None:
    """Threat 4."""
    core = checker(Hanging(WRITER, later=True), deadline=0.05)
    assert refused(await answer_of(core, question()))[0] == 503


async def test_a_cancelled_check_is_cancelled_and_never_allowed() -> None:
    """Threat 4."""
    pending = checker(Hanging(WRITER, later=True)).check(question())
    assert not isinstance(pending, bytes)
    task = asyncio.ensure_future(pending)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_more_projects_than_a_grant_carries_are_a_readable_refusal() -> None:
    many = GlobalAccess(ALICE, tuple(range(1, 400_000_000, 20_000)))
    status, body = refused(await answer_of(checker(Outcomes(many)), question("/")))
    assert status == 409
    assert "Open a project" in body


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get", ""])
async def test_other_methods_are_refused(method: str) -> None:
    """Threat 8."""
    payload = question(method=method)
    assert refused(await answer_of(checker(Outcomes(WRITER)), payload))[0] in (400, 405)


@pytest.mark.parametrize(
    "name",
    [
        "x_extauthz_grant",
        "X-EXTAUTHZ_GRANT",
        "x_mlflow_workspace",
        "private_token",
        "x_forwarded_host",
    ],
)
async def test_an_underscore_twin_is_refused(name: str) -> None:
    """Threat 19: a WSGI server would merge the two: CVE-2025-64484."""
    payload = question(headers=BEARER | {name: "evil"})
    assert refused(await answer_of(checker(Outcomes(WRITER)), payload))[0] == 400


async def test_a_grant_sent_by_the_client_is_overwritten() -> None:
    """Threats 17 and 20."""
    payload = question(headers=BEARER | {HEADER: "evil"})
    grant, _ = granted(await answer_of(checker(Outcomes(READER)), payload))
    assert grant.role is Role.READ


@pytest.mark.parametrize("query", ["caf\u00e9", "a b", "a\tb", "\x7f"])
async def test_a_query_that_would_not_arrive_as_it_was_sent_is_refused(query: str) -> None:
    payload = question(f"/acme/vision/tracking/?{query}")
    assert refused(await answer_of(checker(Outcomes(WRITER)), payload))[0] == 400


async def test_a_protocol_upgrade_is_refused() -> None:
    """Threat 14: a mesh's sidecar lets WebSocket through (CVE-2026-73548)."""
    payload = question("/health", headers={"upgrade": "websocket"})
    assert refused(await answer_of(checker(Outcomes(WRITER)), payload))[0] == 400


async def test_headers_that_envoy_sends_raw_count_alike() -> None:
    """Threat 9: a service that read only the other field would find nothing to refuse."""
    core = checker(Outcomes(READER))
    grant, _ = granted(await answer_of(core, question(headers=BEARER, raw=True)))
    assert grant.project_id == 42
    for headers, status in ((BEARER | {"x_mlflow_workspace": "p7"}, 400), ({}, 401)):
        assert refused(await answer_of(core, question(headers=headers, raw=True)))[0] == status


async def test_two_hosts_are_refused() -> None:
    """Threat 38."""
    payload = question(host="a.example.org,b.example.org")
    assert refused(await answer_of(checker(Outcomes(WRITER)), payload))[0] == 400


@pytest.mark.parametrize("path", ["/auth/login", "/acme/vision/tracking/auth/login"])
async def test_a_browser_that_wants_to_log_in_is_told_honestly(path: str) -> None:
    payload = question(path, headers={"accept": "text/html"})
    status, body = refused(await answer_of(checker(Outcomes(WRITER)), payload))
    assert status == 404
    assert body.startswith("<!doctype html>")
    assert "no browser login here" in body


async def test_the_user_agent_changes_the_form_of_a_refusal_but_never_the_decision() -> None:
    """Threat 27, CVE-2026-34457: an agent that passed for a health check was let through."""
    core = checker(Outcomes(Unauthenticated("x")))
    for headers in ({"user-agent": "kube-probe/1.30"}, {"accept": "text/html"}, {}):
        assert refused(await answer_of(core, question(headers=BEARER | headers)))[0] == 401


async def test_a_page_of_another_origin_changes_nothing() -> None:
    """Threat 62."""
    core, path = checker(Outcomes(WRITER)), "/a/b/tracking/graphql"
    ours, theirs = {"origin": "http://localhost:5000"}, {"origin": "https://evil.example"}
    payload = question(path, method="POST", headers=BEARER | theirs)
    assert refused(await answer_of(core, payload))[0] == 403
    granted(await answer_of(core, question(path, method="POST", headers=BEARER | ours)))
    granted(await answer_of(core, question(path, headers=BEARER | theirs)))


@pytest.mark.parametrize("path", ["/health", "/static-files/x.js", "/a/b/tracking/", "/auth/login"])
async def test_a_cookie_that_would_set_headers_in_mlflows_page_is_refused_and_expired(
    path: str,
) -> None:
    cookie = "a=b; mlflow-request-header-Authorization=Bearer evil; mlflow-request-header-X=1"
    answer = await answer_of(
        checker(Outcomes(WRITER)), question(path, headers=BEARER | {"cookie": cookie})
    )
    assert refused(answer)[0] == 400
    assert answer.denied_response is not None
    assert {
        "mlflow-request-header-Authorization=; Path=/; Max-Age=0",
        "mlflow-request-header-X=; Path=/; Max-Age=0",
    } <= set(cookies_in(answer.denied_response.headers))


@pytest.mark.parametrize("later", [False, True])
async def test_a_browser_without_a_session_is_sent_to_sharinghub(*, later: bool) -> None:
    core = checker(Outcomes(Unauthenticated("x"), later=later), hub=True)
    answer = await answer_of(core, question("/a/b/tracking/", headers={"accept": "text/html"}))
    assert refused(answer)[0] == 302
    api = await answer_of(core, question("/a/b/tracking/", headers={}))
    assert refused(api)[0] == 401


async def test_a_sharinghub_session_changes_nothing_without_an_origin() -> None:
    """Threat 62."""
    core = checker(Outcomes(WRITER), hub=True)
    path, cookie = "/a/b/tracking/graphql", {"cookie": "session=x"}
    ours = cookie | {"sec-fetch-site": "same-origin"}
    assert refused(await answer_of(core, question(path, method="POST", headers=cookie)))[0] == 403
    granted(await answer_of(core, question(path, method="POST", headers=ours)))


def cookies_in(options: list[HeaderValueOption]) -> list[str]:
    headers = [option.header for option in options if option.header]
    return [header.value for header in headers if header.key == "set-cookie"]


@pytest.mark.parametrize("later", [False, True])
async def test_a_browser_learns_of_its_refreshed_session_with_the_answer(*, later: bool) -> None:
    core = checker(Outcomes(InSession(WRITER, ("mlflow-session=new",)), later=later), login=True)
    answer = await answer_of(core, question(headers={"cookie": "mlflow-session=old"}))
    grant, _ = granted(answer)
    assert grant.project_id == 42
    assert answer.ok_response is not None
    added = answer.ok_response.response_headers_to_add
    assert cookies_in(added) == ["mlflow-session=new"]
    kept = [each.header.value for each in added if each.header and each.header.key != "set-cookie"]
    assert kept == ["private, no-store"]


async def test_an_answer_without_news_of_the_session_may_be_kept() -> None:
    answer = await answer_of(checker(Outcomes(WRITER)), question())
    assert answer.ok_response is not None
    assert not answer.ok_response.response_headers_to_add


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("navigates", [False, True])
async def test_a_refusal_loses_no_refreshed_session(*, later: bool, navigates: bool) -> None:
    refusal = NotFound("x", cookies=["mlflow-session=new"])
    headers = {"cookie": "mlflow-session=old"} | ({"accept": "text/html"} if navigates else {})
    core = checker(Outcomes(refusal, later=later), login=True)
    answer = await answer_of(core, question("/a/b/tracking/", headers=headers))
    assert refused(answer)[0] == 404
    assert answer.denied_response is not None
    assert cookies_in(answer.denied_response.headers) == ["mlflow-session=new"]


@pytest.mark.parametrize("name", ["", "login", "authorize", "logout"])
async def test_a_page_is_forwarded_with_its_cookies_and_a_grant_that_shows_nothing(
    name: str,
) -> None:
    accesses = Outcomes(WRITER)
    target = f"/mlflow/auth/{name}?x=%2F"
    core = checker(accesses, prefix="/mlflow", login=True)
    answer = await answer_of(core, question(target, headers={}))
    grant, path = granted(answer)
    assert (grant.view, path) == (View.PUBLIC, target)
    assert answer.ok_response is not None
    removed = answer.ok_response.headers_to_remove
    assert "cookie" not in removed
    assert {"authorization", "private-token", "x-forwarded-host"} <= set(removed)
    assert accesses.asked == []


async def test_nobody_is_signed_out_by_another_site() -> None:
    core, path = checker(Outcomes(WRITER), login=True), "/auth/logout"
    ours, theirs = {"origin": "http://localhost:5000"}, {"sec-fetch-site": "cross-site"}
    for headers in ({}, theirs, {"origin": "null"}, ours | theirs):
        payload = question(path, method="POST", headers=headers)
        assert refused(await answer_of(core, payload))[0] == 403
    granted(await answer_of(core, question(path, method="POST", headers=ours)))


@pytest.mark.parametrize("later", [False, True])
async def test_the_number_of_a_project_leads_to_its_view(*, later: bool) -> None:
    accesses = Outcomes(READER, later=later)
    answer = await answer_of(checker(accesses, prefix="/mlflow"), question("/mlflow/auth/p/42"))
    assert refused(answer)[0] == 302
    assert accesses.asked == ["42"]
    assert answer.denied_response is not None
    (location,) = [
        option.header.value
        for option in answer.denied_response.headers
        if option.header and option.header.key == "location"
    ]
    assert location == "http://localhost:5000/mlflow/acme/vision/tracking/"


@pytest.mark.parametrize("refusal", [NotFound("x"), Unauthenticated("x"), Unavailable("x")])
async def test_the_number_of_a_hidden_project_leads_nowhere(refusal: Exception) -> None:
    answer = await answer_of(checker(Outcomes(refusal)), question("/auth/p/42"))
    assert refused(answer)[0] in (401, 404, 503)


outcomes = st.sampled_from(
    [
        *(WRITER, READER, EVERYTHING, Unavailable("x"), NotFound("x"), Unauthenticated("x")),
        *(RuntimeError(), KeyError(), InSession(WRITER, ("mlflow-session=new",))),
    ]
)
texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "Bearer x", "Basic eDp5", "a,b", "1", "session=x", "text/html", "Bearer"]),
)
names = st.sampled_from(
    [
        *("authorization", "private-token", "cookie", HEADER, "x_extauthz_grant", "accept"),
        *("host", "origin", "sec-fetch-site", "sec-fetch-mode"),
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    outcome=outcomes,
    later=st.booleans(),
    mode=st.sampled_from(["tokens", "hub", "login"]),
    method=st.sampled_from(["GET", "POST", "TRACE", ""]),
    path=st.one_of(
        st.text(max_size=40).map("/".__add__),
        st.sampled_from(
            ["/", "/a/b/tracking", "/a/b/tracking/", "/health", "/auth", "/auth/p/7", "/x/tracking"]
        ),
    ),
    headers=st.dictionaries(names, texts, max_size=4),
)
def test_no_request_and_no_outcome_is_allowed_by_accident(
    *,
    outcome: Outcome,
    later: bool,
    mode: str,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    """Threats 1 to 4: an empty answer, or one without a code, would allow."""
    accesses = Outcomes(outcome, later=later)
    answer = asyncio.run(
        answer_of(
            checker(accesses, hub=mode == "hub", login=mode == "login"),
            question(path, method=method, headers=headers),
        )
    )
    assert answer.status is not None
    if answer.status.code == 0:
        grant, target = granted(answer)
        assert target.startswith("/")
        # Only what access said, or what is public, is ever let through.
        assert grant.view is View.PUBLIC or (
            accesses.asked and not isinstance(accesses.outcome, BaseException)
        )
    else:
        assert 300 <= refused(answer)[0] < 600


@given(st.binary(max_size=300))
def test_no_bytes_are_allowed_by_accident(payload: bytes) -> None:
    """Threats 1, 4 and 7."""
    core = checker(Outcomes(NotFound("x")))
    answer = asyncio.run(answer_of(core, payload))
    assert answer.status is not None
    assert answer.status.code != 0 or granted(answer)[0].view is View.PUBLIC
