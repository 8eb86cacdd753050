"""The decision core under every answer and every failure that access can have."""

import asyncio
import json

import pytest

from extauthz.edge.access import GlobalAccess
from extauthz.edge.refusals import (
    Forbidden,
    NotFound,
    TooManyProjects,
    Unauthenticated,
    Unavailable,
)
from extauthz.grant import HEADER, Grant, View, Why
from extauthz.levels import Role
from tests.checker import (
    ALICE,
    BEARER,
    EVERYTHING,
    READER,
    SETTINGS,
    WRITER,
    Hanging,
    Outcomes,
    answer_of,
    checker,
    cookies_in,
    granted,
    question,
    refused,
)


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


@pytest.mark.parametrize(
    "path",
    [
        "/a;HttpOnly;Domain=example.org/b",
        f"/{'/'.join(['g' * 250] * 5)}/tracking/api/2.0/mlflow/{'x' * 5000}",
    ],
)
async def test_only_a_path_that_was_judged_is_named_in_a_cookie(path: str) -> None:
    """A path with a semicolon would add attributes; a long one would outgrow Envoy's limits."""
    names = "; ".join(f"mlflow-request-header-{number}=1" for number in range(60))
    answer = await answer_of(
        checker(Outcomes(WRITER)), question(path, headers=BEARER | {"cookie": names})
    )
    assert refused(answer)[0] == 400
    assert answer.denied_response is not None
    cookies = cookies_in(answer.denied_response.headers)
    assert not any("HttpOnly" in cookie for cookie in cookies)
    assert sum(map(len, cookies)) < 20_000
