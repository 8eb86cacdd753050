"""The upstream against a demo GitLab that misbehaves, and against worse servers than GitLab."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from extauthz.edge.breaker import Breaker
from extauthz.edge.errors import Unavailable
from extauthz.edge.operations import Operation
from extauthz.edge.outage import Busy, Down, Outage, Throttled, Unreachable
from extauthz.edge.slots import QUEUE_TIMEOUT, Line
from extauthz.edge.upstream import (
    LARGEST_BODY,
    LONGEST_RETRY_AFTER,
    Answer,
    Call,
    Upstream,
    open_session,
)
from tests.access import Calls, Clock
from tests.gitlab import GitLab
from tests.servers.ports import free_port

TIMEOUT = 1.0
SLOTS = Line.CHECKS.slots
TOKEN = "glpat-very-secret"
CALL = Call(
    Operation.PROJECT,
    "/api/v4/projects/acme%2Fsecret-project",
    {"Authorization": f"Bearer {TOKEN}"},
)
QUERY = Call(Operation.USER, "/api/graphql", {}, {"query": "{ currentUser { id } }"})
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    return running


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(gitlab: GitLab, session: ClientSession, calls: Calls, clock: Clock) -> Upstream:
    return _upstream(session, gitlab.url, calls, clock)


def _upstream(session: ClientSession, url: str, calls: Calls, clock: Clock) -> Upstream:
    return Upstream(
        session,
        url,
        name="GitLab",
        observer=calls,
        breaker=Breaker(clock=clock),
        timeout=TIMEOUT,
    )


@asynccontextmanager
async def _server(*answers: bytes) -> AsyncIterator[str]:
    """Serve raw bytes, one answer per request; the last one again and again."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = left.pop(0) if len(left) > 1 else left[0]
                writer.write(answer)
                await writer.drain()
                if b"Connection: close" in answer or not answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)


async def test_a_definite_answer_is_returned_whatever_its_status(upstream: Upstream) -> None:
    answer = await upstream.ask(CALL)

    assert answer == Answer(401, {"message": "401 Unauthorized"})


async def test_a_body_is_posted_as_json(upstream: Upstream) -> None:
    assert await upstream.ask(QUERY) == Answer(200, {"data": {"currentUser": None}})


async def test_a_redirect_is_returned_and_not_followed(gitlab: GitLab, upstream: Upstream) -> None:
    gitlab.faults("redirect", location="https://evil.example.org/api/v4/user", times=1)

    answer = await upstream.ask(CALL)

    assert answer == Answer(302, location="https://evil.example.org/api/v4/user")
    assert len(gitlab.calls()) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_down(gitlab: GitLab, upstream: Upstream, status: int) -> None:
    gitlab.faults("error", status=status)

    with pytest.raises(Down, match=f"GitLab answered {status}"):
        await upstream.ask(CALL)


@pytest.mark.parametrize("status", [200, 401, 403, 404])
async def test_a_page_instead_of_json_is_no_answer(
    gitlab: GitLab, upstream: Upstream, status: int
) -> None:
    gitlab.faults("html", status=status)

    with pytest.raises(Outage, match=f"GitLab answered {status} without JSON") as caught:
        await upstream.ask(CALL)

    assert not isinstance(caught.value, Down)


async def test_a_silent_server_is_given_up_in_time(gitlab: GitLab, upstream: Upstream) -> None:
    gitlab.faults("hang")
    started = time.monotonic()

    with pytest.raises(Down, match="did not answer in time"):
        await upstream.ask(CALL)

    assert TIMEOUT <= time.monotonic() - started < TIMEOUT + 1


@pytest.mark.parametrize("call", [CALL, QUERY], ids=["GET", "POST"])
async def test_a_reset_connection_is_tried_once_more(
    gitlab: GitLab, upstream: Upstream, call: Call
) -> None:
    gitlab.faults("reset", times=1)

    assert (await upstream.ask(call)).status in (200, 401)
    assert len(gitlab.calls()) == 2


@pytest.mark.parametrize("call", [CALL, QUERY], ids=["GET", "POST"])
async def test_a_server_that_keeps_resetting_is_down(
    gitlab: GitLab, upstream: Upstream, call: Call
) -> None:
    gitlab.faults("reset")

    with pytest.raises(Down, match="could not be asked"):
        await upstream.ask(call)

    assert len(gitlab.calls()) == 2


async def test_a_truncated_answer_is_down(gitlab: GitLab, upstream: Upstream) -> None:
    gitlab.faults("truncate")

    with pytest.raises(Down, match="ClientPayloadError"):
        await upstream.ask(CALL)


async def test_a_huge_answer_is_not_read_to_its_end(gitlab: GitLab, upstream: Upstream) -> None:
    gitlab.faults("huge", size=1 << 40)

    with pytest.raises(Outage, match="answered too much"):
        await upstream.ask(CALL)


async def test_nothing_is_unpacked(session: ClientSession, calls: Calls, clock: Clock) -> None:
    # A few KB can unpack to gigabytes (CVE-2025-69223 in aiohttp).
    bomb = gzip.compress(b'"' + b"a" * (8 * LARGEST_BODY) + b'"')
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head + bomb

    async with _server(answer) as url:
        with pytest.raises(Outage, match="broken JSON"):
            await _upstream(session, url, calls, clock).ask(CALL)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1} {"b": 2}'], ids=range(5)
)
async def test_broken_json_is_no_answer(
    session: ClientSession, calls: Calls, clock: Clock, body: bytes
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"

    async with _server(head.encode() + b"\r\n\r\n" + body) as url:
        with pytest.raises(Outage, match="broken JSON"):
            await _upstream(session, url, calls, clock).ask(CALL)


async def test_garbage_instead_of_http_is_down(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    async with _server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as url:
        with pytest.raises(Down):
            await _upstream(session, url, calls, clock).ask(CALL)


async def test_a_server_that_is_not_there_is_down(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    upstream = _upstream(session, f"http://127.0.0.1:{free_port()}", calls, clock)

    with pytest.raises(Unreachable, match="ClientConnectorError"):
        await upstream.ask(CALL)


async def test_a_pooled_connection_that_was_closed_meanwhile_goes_unnoticed(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    async with _server(OK, b"", OK) as url:
        upstream = _upstream(session, url, calls, clock)

        assert [await upstream.ask(CALL) for _ in range(2)] == [Answer(200, {})] * 2


@pytest.mark.parametrize(
    ("sent", "understood"),
    [
        ("7", 7),
        ("0", 1),
        ("86400", LONGEST_RETRY_AFTER),
        ("9" * 5000, 5),
        ("", 5),
        ("-3", 5),
        ("٣", 5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 5),
    ],
    ids=range(8),
)
async def test_a_limited_credential_is_told_for_how_long(
    session: ClientSession, calls: Calls, clock: Clock, sent: str, understood: int
) -> None:
    head = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {sent}\r\nContent-Length: 0\r\n\r\n"

    async with _server(head.encode()) as url:
        with pytest.raises(Throttled) as caught:
            await _upstream(session, url, calls, clock).ask(CALL)

    assert caught.value.retry_after == understood


@pytest.mark.parametrize("name", ["throttle_authenticated_api", "throttle_unauthenticated_api", ""])
async def test_every_limit_is_taken_as_one_of_the_credential(
    session: ClientSession, calls: Calls, clock: Clock, name: str
) -> None:
    """GitLab charges its limit of addresses with the tokens it does not know, revoked ones too."""
    head = f"HTTP/1.1 429 Too Many Requests\r\nRateLimit-Name: {name}\r\nRetry-After: 9\r\n"

    async with _server(f"{head}Content-Length: 0\r\n\r\n".encode()) as url:
        with pytest.raises(Throttled) as caught:
            await _upstream(session, url, calls, clock).ask(CALL)

    assert caught.value.retry_after == 9


@pytest.mark.parametrize(
    "effect", ["error", "html", "hang", "reset", "truncate", "huge", "throttle"]
)
async def test_a_failure_names_neither_path_nor_token(
    gitlab: GitLab, upstream: Upstream, effect: str
) -> None:
    gitlab.faults(effect)

    with capture_logs() as logs, pytest.raises(Unavailable) as caught:
        await upstream.ask(CALL)

    told = f"{caught.value!r} {caught.value.__cause__!r} {logs}"
    assert "secret" not in told


async def test_five_failures_in_a_row_stop_the_questions(
    gitlab: GitLab, upstream: Upstream, calls: Calls, clock: Clock
) -> None:
    gitlab.faults("error", status=502, times=5)
    for _ in range(5):
        with pytest.raises(Down):
            await upstream.ask(CALL)

    with pytest.raises(Unreachable, match="GitLab is down") as caught:
        await upstream.ask(CALL)

    assert caught.value.retry_after == 5
    assert len(gitlab.calls()) == 5
    clock.pass_by(5)
    assert (await upstream.ask(CALL)).status == 401
    assert (await upstream.ask(CALL)).status == 401
    assert calls.outcomes == ["trouble"] * 5 + ["skipped"] + ["answered"] * 2


async def test_a_server_that_names_a_time_is_left_alone_until_then(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    maintenance = (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"
    )

    async with _server(*[maintenance] * 5, OK) as url:
        upstream = _upstream(session, url, calls, clock)
        for _ in range(6):
            with pytest.raises(Down) as caught:
                await upstream.ask(CALL)
            assert caught.value.retry_after == 30
        clock.pass_by(29)
        with pytest.raises(Down, match="is down"):
            await upstream.ask(CALL)
        clock.pass_by(1)
        assert await upstream.ask(CALL) == Answer(200, {})


@pytest.mark.parametrize("effect", ["throttle", "html", "huge"])
async def test_an_answer_that_came_is_no_reason_to_stop_asking(
    gitlab: GitLab, upstream: Upstream, effect: str
) -> None:
    gitlab.faults(effect, status=403, times=20)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await upstream.ask(CALL)

    assert (await upstream.ask(CALL)).status == 401


async def test_a_cancelled_probe_leaves_room_for_another(
    gitlab: GitLab, upstream: Upstream, calls: Calls, clock: Clock
) -> None:
    gitlab.faults("error", times=5)
    for _ in range(5):
        with pytest.raises(Down):
            await upstream.ask(CALL)
    clock.pass_by(5)
    gitlab.faults("hang", times=1)
    probe = asyncio.create_task(upstream.ask(CALL))
    await _until(lambda: len(gitlab.calls()) == 6)

    probe.cancel()
    await asyncio.wait({probe})

    assert (await upstream.ask(CALL)).status == 401
    assert calls.outcomes[-2:] == ["cancelled", "answered"]


async def test_only_so_many_calls_are_under_way_at_once(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    under_way: list[int] = []
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        while not reader.at_eof():
            if not await reader.readline():
                break
            await reader.readuntil(b"\r\n\r\n")
            under_way.append(len(connections))
            await asyncio.sleep(0.02)
            writer.write(OK)
        connections.remove(writer)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    upstream = _upstream(session, f"http://127.0.0.1:{port}", calls, clock)

    await asyncio.gather(*(upstream.ask(CALL) for _ in range(4 * SLOTS)))

    assert max(under_way) == SLOTS
    server.close()


async def test_strangers_wait_for_each_other_and_hold_nobody_else_up(
    gitlab: GitLab, upstream: Upstream, calls: Calls
) -> None:
    gitlab.faults("hang", path="stranger")
    stranger = Call(Operation.PROJECT, "/api/v4/stranger", {}, line=Line.STRANGERS)
    hanging = [asyncio.create_task(upstream.ask(stranger)) for _ in range(Line.STRANGERS.slots)]
    await _until(lambda: len(gitlab.calls()) == Line.STRANGERS.slots)

    for call in (CALL, replace(CALL, line=Line.VIEWS)):
        assert (await upstream.ask(call)).status == 401
    with pytest.raises(Busy):
        await upstream.ask(replace(stranger, optional=True))

    assert not any(task.done() for task in hanging)
    assert calls.outcomes == ["answered", "answered", "busy"]
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_who_waits_in_vain_while_others_are_answered_learns_that_we_are_busy(
    gitlab: GitLab, upstream: Upstream, calls: Calls
) -> None:
    gitlab.faults("latency", seconds=TIMEOUT * 0.4)

    outcomes = await asyncio.gather(
        *(upstream.ask(CALL) for _ in range(6 * SLOTS)), return_exceptions=True
    )

    kinds = [type(outcome) for outcome in outcomes]
    assert set(kinds) == {Answer, Busy}
    assert calls.outcomes.count("busy") == kinds.count(Busy)
    gitlab.heal()
    assert (await upstream.ask(CALL)).status == 401


async def test_nobody_waits_long_for_a_place_and_that_does_not_count_as_down(
    gitlab: GitLab, session: ClientSession, calls: Calls
) -> None:
    gitlab.faults("hang")
    upstream = Upstream(session, gitlab.url, name="GitLab", observer=calls, timeout=60)
    hanging = [asyncio.create_task(upstream.ask(CALL)) for _ in range(SLOTS)]
    await _until(lambda: len(gitlab.calls()) == SLOTS)
    started = time.monotonic()

    outcomes = await asyncio.gather(
        *(upstream.ask(CALL) for _ in range(10)), return_exceptions=True
    )

    assert QUEUE_TIMEOUT <= time.monotonic() - started < QUEUE_TIMEOUT + 1
    assert {type(outcome) for outcome in outcomes} == {Outage}
    for call in hanging:
        call.cancel()
    await asyncio.wait(hanging)
    gitlab.heal()
    assert (await upstream.ask(CALL)).status == 401


async def test_the_proxy_of_the_environment_is_not_used(
    gitlab: GitLab, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")

    assert (await upstream.ask(CALL)).status == 401


async def test_cookies_are_not_kept(session: ClientSession, calls: Calls, clock: Clock) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: s=1\r\nConnection: close\r\n\r\n"))
        await writer.drain()
        writer.close()

    # aiohttp's own jar would keep cookies of a name, though not those of an address.
    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    upstream = _upstream(session, f"http://localhost:{port}", calls, clock)
    for _ in range(2):
        await upstream.ask(CALL)

    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()
    server.close()


async def test_the_observer_learns_operation_outcome_and_seconds(
    gitlab: GitLab, upstream: Upstream, calls: Calls
) -> None:
    await upstream.ask(CALL)
    gitlab.faults("throttle", times=1)
    with pytest.raises(Throttled):
        await upstream.ask(CALL)
    gitlab.faults("latency", seconds=0.2, times=1)
    await upstream.ask(Call(Operation.USER, "/api/v4/user", {}))

    assert calls.seen == [("project", "answered"), ("project", "throttled"), ("user", "answered")]
    assert 0.2 <= calls.seconds[2] < TIMEOUT
    assert json.dumps(calls.seen).count("secret") == 0


async def test_a_5xx_that_is_an_answer_says_nothing_against_the_server(
    session: ClientSession, calls: Calls, clock: Clock
) -> None:
    """SharingHub answers 500 about a project without a category."""
    answer = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    knows = Call(Operation.PROJECT, "/", {}, definite=lambda body: body == {"detail": "no"})
    async with _server(answer + b'{"detail": "no"}') as url:
        upstream = _upstream(session, url, calls, clock)
        for _ in range(10):
            assert await upstream.ask(knows) == Answer(500, {"detail": "no"})
    assert set(calls.outcomes) == {"answered"}


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Type: application/json\r\nContent-Length: 19\r\n\r\n" + b'{"detail": "other"}',
        b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{nope",
        b"Content-Type: text/html\r\nContent-Length: 16\r\n\r\n" + b'{"detail": "no"}',
        b"Content-Length: 0\r\n\r\n",
    ],
)
async def test_any_other_5xx_is_trouble(
    session: ClientSession, calls: Calls, clock: Clock, answer: bytes
) -> None:
    knows = Call(Operation.PROJECT, "/", {}, definite=lambda body: body == {"detail": "no"})
    async with _server(b"HTTP/1.1 500 No\r\n" + answer) as url:
        with pytest.raises(Down, match="answered 500"):
            await _upstream(session, url, calls, clock).ask(knows)
