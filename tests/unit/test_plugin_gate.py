"""The gate: what gets through, under which grant, and what is left of it."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from anyio import fail_after
from anyio.to_thread import current_default_thread_limiter
from sqlalchemy.exc import OperationalError
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from extauthz.grant import HEADER, LEEWAY, LIFETIME, Grant, GrantVerifier, View
from extauthz.headers import REMOVED
from extauthz.plugin.context import current
from extauthz.plugin.gate import PROJECTS, _without_body
from extauthz.plugin.grants import MOST, VerifiedGrants
from extauthz.plugin.metrics import Opened
from tests.gate import EVERYTHING, INSTANCE, KEY, NOW, OTHER_KEY, SYSTEM, WRITER, Door


async def test_a_project_grant_lets_a_request_through_into_its_workspace() -> None:
    door = Door()

    assert (await door.ask(door.sign(WRITER), ("accept", "*/*")))[0] == 200

    assert door.app.seen[-1][1] == WRITER
    assert door.received() == {"accept": "*/*", "x-mlflow-workspace": "p42"}
    assert current() is None


async def test_the_global_view_has_no_workspace() -> None:
    door = Door()

    await door.ask(door.sign(EVERYTHING), ("X-MLFLOW-WORKSPACE", "p7"))

    assert door.received() == {}


@pytest.mark.parametrize("name", REMOVED)
async def test_what_mlflow_must_not_hold_is_removed(name: str) -> None:
    door = Door()

    await door.ask(("accept", "*/*"), (name.upper(), "p7"), (name, "p8"), door.sign(EVERYTHING))

    assert door.received() == {"accept": "*/*"}


@pytest.mark.parametrize("name", [name for name in (HEADER, *REMOVED) if "-" in name])
async def test_a_twin_written_with_underscores_is_refused(name: str) -> None:
    """CVE-2025-64484: WSGI takes `x_name` for `x-name`."""
    door = Door()

    for twin in (name.replace("-", "_"), name.replace("-", "_", 1), name.upper().replace("-", "_")):
        assert (await door.ask(door.sign(WRITER), (twin, "p7")))[0] == 400
    assert door.app.seen == []


@pytest.mark.parametrize("path", ["/", "/version", "/health/", "//health", "/api/2.0/x", PROJECTS])
async def test_without_a_grant_there_is_only_health(path: str) -> None:
    door = Door()

    status, _, body = await door.ask(path=path)

    assert status == 403
    assert body["error_code"] == "PERMISSION_DENIED"
    assert door.app.seen == []


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("POST", 403)])
async def test_health_is_read_without_a_grant(method: str, status: int) -> None:
    door = Door()

    assert (await door.ask(path="/health", method=method))[0] == status


async def test_what_is_public_takes_no_body() -> None:
    """Anybody may send one, without a token and of any size."""
    door = Door()
    public = door.sign(Grant(view=View.PUBLIC, instance=INSTANCE))

    await door.ask(path="/health", method="HEAD")
    await door.ask(public, path="/version")
    await door.ask(door.sign(WRITER), method="POST")

    assert door.app.bodies == [b"", b"", b"sent body"]


async def test_whoever_leaves_is_noticed_where_the_body_is_dropped() -> None:
    messages = [{"type": "http.request", "body": b"x", "more_body": True}]
    messages += [*messages, {"type": "http.disconnect"}]

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    empty = _without_body(receive)

    assert await empty() == {"type": "http.request", "body": b"", "more_body": False}
    assert await empty() == {"type": "http.disconnect"}


async def test_a_forged_grant_is_refused_even_for_health() -> None:
    door = Door()
    foreign = Grant(view=View.PUBLIC, instance="gitlab.elsewhere")
    unsigned = "eyJhbGciOiJub25lIn0.e30."

    for header in (
        door.sign(WRITER, OTHER_KEY),
        door.sign(foreign),
        (HEADER, unsigned),
        (HEADER, ""),
        (HEADER, "\xff"),
    ):
        assert (await door.ask(header, path="/health"))[0] == 403
    assert door.app.seen == []


async def test_two_copies_of_a_grant_are_refused() -> None:
    door = Door()
    once = door.sign(WRITER)

    assert (await door.ask(once, once))[0] == 403
    assert (await door.ask(once, (HEADER.upper(), once[1])))[0] == 403
    assert door.app.seen == []


@pytest.mark.parametrize("passed", [LIFETIME + LEEWAY + 1, -LEEWAY - 1])
async def test_a_grant_outside_its_time_is_worth_a_second_try_and_a_log_line(
    passed: float,
) -> None:
    door = Door()
    header = door.sign(WRITER)
    door.clock.now += passed

    with capture_logs() as logs:
        status, headers, body = await door.ask(header)

    assert (status, body["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(headers["retry-after"]) > 0
    assert [line["event"] for line in logs] == ["grant.expired"]
    assert header[1] not in str(logs)
    assert "acme" not in str(logs)


async def test_a_grant_already_seen_expires_too() -> None:
    door = Door()
    header = door.sign(WRITER)

    for passed, status in ((0, 200), (LIFETIME + LEEWAY, 200), (LIFETIME + LEEWAY + 1, 503)):
        door.clock.now = NOW + passed
        assert (await door.ask(header))[0] == status


async def test_a_grant_of_the_previous_key_is_opened() -> None:
    door = Door(keys=(OTHER_KEY, KEY))

    assert (await door.ask(door.sign(WRITER)))[0] == 200


def test_only_so_many_grants_are_remembered() -> None:
    door = Door()
    grants = VerifiedGrants(
        GrantVerifier([KEY], instance=INSTANCE, clock=door.clock), clock=door.clock
    )

    for number in range(1, MOST + 50):
        grants.open(door.sign(Grant(view=View.GLOBAL, instance=INSTANCE, projects=(number,)))[1])

    assert len(grants._known) == MOST


async def test_the_edge_asks_for_the_projects_that_own_rows() -> None:
    door = Door()

    status, _, body = await door.ask(door.sign(SYSTEM), path=PROJECTS)

    assert (status, body) == (200, {"projects": [3, 5]})
    assert door.app.seen == []


async def test_a_database_that_does_not_answer_is_worth_a_second_try() -> None:
    def owners() -> list[int]:
        raise OperationalError("SELECT secret", {}, Exception("password"))

    door = Door(owners=owners)

    status, headers, body = await door.ask(door.sign(SYSTEM), path=PROJECTS)

    assert (status, body["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert int(headers["retry-after"]) > 0
    assert "secret" not in body["message"]
    assert "password" not in body["message"]


async def test_the_edge_is_answered_whatever_else_waits_for_threads() -> None:
    door = Door()
    threads = current_default_thread_limiter()
    taken = [object() for _ in range(int(threads.total_tokens))]
    for borrower in taken:
        threads.acquire_on_behalf_of_nowait(borrower)
    try:
        with fail_after(10):
            assert (await door.ask(door.sign(SYSTEM), path=PROJECTS))[0] == 200
    finally:
        for borrower in taken:
            threads.release_on_behalf_of(borrower)


@pytest.mark.parametrize(("method", "path"), [("POST", PROJECTS), ("GET", "/"), ("GET", "/health")])
async def test_the_grant_of_the_edge_reaches_nothing_else(method: str, path: str) -> None:
    door = Door()

    assert (await door.ask(door.sign(SYSTEM), method=method, path=path))[0] == 403
    assert door.app.seen == []


async def test_a_websocket_is_closed_unopened() -> None:
    door = Door()

    assert (await door.ask(door.sign(WRITER), kind="websocket"))[0] == 1008
    assert door.app.seen == []


async def test_the_lifespan_is_the_apps_own_and_other_protocols_are_ignored() -> None:
    door = Door()

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is sent or received")

    await door.gate({"type": "lifespan"}, nothing, nothing)
    await door.gate({"type": "something new"}, nothing, nothing)

    assert [scope["type"] for scope, _ in door.app.seen] == ["lifespan"]


async def test_grants_and_answers_are_counted() -> None:
    door = Door()
    writer, global_ = door.sign(WRITER), door.sign(EVERYTHING)
    await door.ask(writer)
    await door.ask(global_)
    await door.ask(door.sign(SYSTEM), path=PROJECTS)
    await door.ask(door.sign(SYSTEM), path="/")
    await door.ask()
    await door.ask(path="/health")
    await door.ask(writer, writer)
    await door.ask(door.sign(WRITER, OTHER_KEY))
    await door.ask(writer, ("x_extauthz_grant", writer[1]))
    door.clock.now += 10 * LIFETIME
    await door.ask(writer)

    assert {result: door.grants(result) for result in Opened} == {
        Opened.ACCEPTED: 4,
        Opened.NONE: 1,
        Opened.ABSENT: 1,
        Opened.REPEATED: 1,
        Opened.MALFORMED: 1,
        Opened.FORGED: 1,
        Opened.EXPIRED: 1,
    }
    assert door.answers(View.PROJECT, "2xx") == door.answers(View.GLOBAL, "2xx") == 1
    assert door.answers(View.PUBLIC, "2xx") == 1
    assert door.answers(View.SYSTEM, "2xx") == door.answers(View.SYSTEM, "4xx") == 1


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("3f2a-9", "3f2a-9"), ('"}\n{', ""), ("x" * 129, ""), ("\xe9", ""), ("", "")],
)
async def test_what_is_logged_meanwhile_names_the_request_as_envoy_does(
    sent: str, kept: str
) -> None:
    door = Door()
    await door.ask(door.sign(WRITER), ("x-request-id", sent))

    assert door.app.contexts == [{"request": kept}]
    assert get_contextvars() == {}


async def test_a_refused_grant_is_logged_under_its_request() -> None:
    with capture_logs(processors=[merge_contextvars]) as logs:
        await Door().ask(("x-request-id", "3f2a-9"))

    assert [(line["event"], line["request"]) for line in logs] == [("grant.absent", "3f2a-9")]
