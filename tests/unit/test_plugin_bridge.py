"""The bridge, before WSGI apps made for a test."""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from anyio import Event, create_task_group, fail_after

from extauthz.plugin.bridge import Bridge, Environ

PIECE = 100_000
START = Callable[..., Any]


@dataclass(slots=True)
class Body:
    """The body of an answer: counts what is read, and remembers whether it was closed."""

    pieces: int
    read: int = 0
    closed: bool = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.pieces):
            self.read += 1
            yield b"x" * PIECE

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class Client:
    """Sends one request; takes the answer, or leaves."""

    app: Callable[[Environ, START], Iterable[bytes]]
    body: bytes = b""
    left: Event = field(default_factory=Event)
    stopped: Event | None = None
    sent: list[MutableMapping[str, Any]] = field(default_factory=list)
    asked: bool = False

    async def ask(self, bridge: Bridge | None = None, **changed: Any) -> None:
        scope = {"method": "GET", "path": "/x", "query_string": b"", "headers": []}
        scope |= {"http_version": "1.1", "server": ("host", 80), "client": ("::1", 9)}
        await (bridge or Bridge(self.app, threads=1))(scope | changed, self._receive, self._send)

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        if self.stopped is not None and message["type"] == "http.response.body":
            self.stopped.set()
            await Event().wait()  # a reader that takes nothing any more


def _app(body: Iterable[bytes]) -> Callable[[Environ, START], Iterable[bytes]]:
    def app(_: Environ, start_response: START) -> Iterable[bytes]:
        start_response("203 Why not", [("X-Of", "é"), ("X-Of", "2")])
        return body

    return app


async def test_an_answer_is_passed_on_and_closed() -> None:
    body = Body(pieces=20)
    client = Client(_app(body))

    await client.ask()

    assert client.sent[0]["status"] == 203
    assert client.sent[0]["headers"] == [(b"x-of", b"\xe9"), (b"x-of", b"2")]
    assert b"".join(message["body"] for message in client.sent[1:]) == b"x" * PIECE * 20
    assert [message["more_body"] for message in client.sent[1:]][-2:] == [True, False]
    assert body.closed


async def test_a_body_without_anything_ends_too() -> None:
    client = Client(_app([]))

    await client.ask()

    assert client.sent[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]


async def test_a_reader_that_stops_holds_a_piece_and_no_thread() -> None:
    body = Body(pieces=1000)
    slow, bridge = Client(_app(body), stopped=Event()), Bridge(_app(body), threads=1)

    with fail_after(10):
        async with create_task_group() as group:
            group.start_soon(slow.ask, bridge)
            assert slow.stopped is not None
            await slow.stopped.wait()
            read = body.read
            other = Client(_app([]))
            await Bridge(other.app, threads=1)(
                {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
                | {"http_version": "1.1"},
                other._receive,
                other._send,
            )
            assert other.sent
            assert body.read == read <= 3
            assert not body.closed
            slow.left.set()

    assert body.closed
    assert body.read == read


async def test_an_app_that_fails_while_it_answers_is_closed() -> None:
    class Failing(Body):
        def __iter__(self) -> Iterator[bytes]:
            yield b"x" * 300_000
            raise ValueError("broken")

    body = Failing(pieces=0)

    with pytest.raises(ExceptionGroup, match="unhandled") as failed:
        await Client(_app(body)).ask()

    assert isinstance(failed.value.exceptions[0], ValueError)
    assert body.closed


async def test_a_request_is_what_wsgi_makes_of_it() -> None:
    seen: list[Environ] = []

    def app(environ: Environ, start_response: START) -> list[bytes]:
        seen.append({**environ, "wsgi.input": environ["wsgi.input"].read()})
        return list(_app([])(environ, start_response))

    headers = [(b"content-length", b"4"), (b"content-type", b"text/x"), (b"host", b"h")]
    headers += [(b"x-more", b"1"), (b"x-more", b"\xe9")]

    await Client(app, body=b"sent").ask(
        method="POST", path="/root/é", root_path="/root", query_string=b"a=%C3", headers=headers
    )

    (environ,) = seen
    assert environ["REQUEST_METHOD"] == "POST"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/root", "/Ã©")
    assert (environ["QUERY_STRING"], environ["wsgi.input"]) == ("a=%C3", b"sent")
    assert (environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"]) == ("4", "text/x")
    assert (environ["HTTP_HOST"], environ["HTTP_X_MORE"]) == ("h", "1,é")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"], environ["REMOTE_ADDR"]) == (
        "host",
        "80",
        "::1",
    )
