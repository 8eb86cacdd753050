"""The upstream against worse servers than GitLab."""

import asyncio
import gzip

import pytest

from extauthz.edge.operations import Operation
from extauthz.edge.outage import Down, Outage, Throttled, Unreachable
from extauthz.edge.upstream import LARGEST_BODY, LONGEST_RETRY_AFTER, Answer, Call
from tests.servers.ports import free_port
from tests.upstream import OK, answered, asking


async def test_nothing_is_unpacked() -> None:
    # A few KB can unpack to gigabytes (CVE-2025-69223 in aiohttp).
    bomb = gzip.compress(b'"' + b"a" * (8 * LARGEST_BODY) + b'"')
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head + bomb

    async with answered(answer) as upstream:
        with pytest.raises(Outage, match="broken JSON"):
            await upstream.ask()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": 1} {"b": 2}'], ids=range(5)
)
async def test_broken_json_is_no_answer(body: bytes) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"

    async with answered(head.encode() + b"\r\n\r\n" + body) as upstream:
        with pytest.raises(Outage, match="broken JSON"):
            await upstream.ask()


async def test_garbage_instead_of_http_is_down() -> None:
    async with answered(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as upstream:
        with pytest.raises(Down):
            await upstream.ask()


async def test_a_server_that_is_not_there_is_down() -> None:
    async with asking(f"http://127.0.0.1:{free_port()}") as upstream:
        with pytest.raises(Unreachable, match="ClientConnectorError"):
            await upstream.ask()


async def test_a_pooled_connection_that_was_closed_meanwhile_goes_unnoticed() -> None:
    async with answered(OK, b"", OK) as upstream:
        assert [await upstream.ask() for _ in range(2)] == [Answer(200, {})] * 2


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
async def test_a_limited_credential_is_told_for_how_long(sent: str, understood: int) -> None:
    head = f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {sent}\r\nContent-Length: 0\r\n\r\n"

    async with answered(head.encode()) as upstream:
        with pytest.raises(Throttled) as caught:
            await upstream.ask()

    assert caught.value.retry_after == understood


@pytest.mark.parametrize("name", ["throttle_authenticated_api", "throttle_unauthenticated_api", ""])
async def test_every_limit_is_taken_as_one_of_the_credential(name: str) -> None:
    """GitLab charges its limit of addresses with the tokens it does not know, revoked ones too."""
    head = f"HTTP/1.1 429 Too Many Requests\r\nRateLimit-Name: {name}\r\nRetry-After: 9\r\n"

    async with answered(f"{head}Content-Length: 0\r\n\r\n".encode()) as upstream:
        with pytest.raises(Throttled) as caught:
            await upstream.ask()

    assert caught.value.retry_after == 9


async def test_a_server_that_names_a_time_is_left_alone_until_then() -> None:
    maintenance = (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"
    )

    async with answered(*[maintenance] * 5, OK) as upstream:
        for _ in range(6):
            with pytest.raises(Down) as caught:
                await upstream.ask()
            assert caught.value.retry_after == 30
        upstream.clock.pass_by(29)
        with pytest.raises(Down, match="is down"):
            await upstream.ask()
        upstream.clock.pass_by(1)
        assert await upstream.ask() == Answer(200, {})


async def test_cookies_are_not_kept() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: s=1\r\nConnection: close\r\n\r\n"))
        await writer.drain()
        writer.close()

    # aiohttp's own jar would keep cookies of a name, though not those of an address.
    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with asking(f"http://localhost:{port}") as upstream:
        for _ in range(2):
            await upstream.ask()

    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()
    server.close()


async def test_a_5xx_that_is_an_answer_says_nothing_against_the_server() -> None:
    """SharingHub answers 500 about a project without a category."""
    answer = b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    knows = Call(Operation.PROJECT, "/", {}, definite=lambda body: body == {"detail": "no"})
    async with answered(answer + b'{"detail": "no"}') as upstream:
        for _ in range(10):
            assert await upstream.ask(knows) == Answer(500, {"detail": "no"})
    assert set(upstream.calls.outcomes) == {"answered"}


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Type: application/json\r\nContent-Length: 19\r\n\r\n" + b'{"detail": "other"}',
        b"Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{nope",
        b"Content-Type: text/html\r\nContent-Length: 16\r\n\r\n" + b'{"detail": "no"}',
        b"Content-Length: 0\r\n\r\n",
    ],
)
async def test_any_other_5xx_is_trouble(answer: bytes) -> None:
    knows = Call(Operation.PROJECT, "/", {}, definite=lambda body: body == {"detail": "no"})
    async with answered(b"HTTP/1.1 500 No\r\n" + answer) as upstream:
        with pytest.raises(Down, match="answered 500"):
            await upstream.ask(knows)
