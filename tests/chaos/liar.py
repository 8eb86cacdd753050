"""A GitLab that lies: it hands on what the real one answers, or something else instead."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final
from urllib.parse import urlsplit

# What is answered in place of an honest answer, and what is said to be its type.
Lie = Callable[[bytes], tuple[bytes, str]]
_JSON: Final = "application/json"
_END_TO_END: Final = ("content-type", "retry-after", "x-total-pages", "x-next-page", "link")


@dataclass(slots=True)
class Liar:
    """Where it listens, for whom it speaks, and what it makes of an answer."""

    port: int
    truthful: str
    lie: Lie | None = None
    told: list[str] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def listens(self) -> bool:
        return self._server is not None

    def listen(self) -> None:
        """Take connections."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), partial(_Handler, self))
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hang_up(self) -> None:
        """Take no connections, and close those that are open with the next question."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def mend(self) -> None:
        """Be there, and tell the truth from now on."""
        self.lie = None
        if not self.listens:
            self.listen()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, liar: Liar, *given: Any) -> None:
        self._liar = liar
        super().__init__(*given)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def _answer(self) -> None:
        if not self._liar.listens:
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        where = urlsplit(self._liar.truthful)
        with closing(HTTPConnection(where.hostname or "", where.port, timeout=30)) as connection:
            connection.request(self.command, self.path, body or None, dict(self.headers.items()))
            answer = connection.getresponse()
            status, said = answer.status, answer.read()
            headers = {name: value for name in _END_TO_END if (value := answer.getheader(name))}
        if self._liar.lie:
            said, headers["content-type"] = self._liar.lie(said)
            status = 200
            self._liar.told.append(self.path)
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(said))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said)


@contextmanager
def liar(port: int, truthful: str) -> Iterator[Liar]:
    """Run one until the block ends."""
    speaker = Liar(port, truthful)
    speaker.listen()
    try:
        yield speaker
    finally:
        speaker.hang_up()


def always(text: str, kind: str = _JSON) -> Lie:
    """Say the same whatever is asked."""
    return lambda _: (text.encode(), kind)


def half(said: bytes) -> tuple[bytes, str]:
    """Stop in the middle, as if that were all."""
    return said[: len(said) // 2], _JSON


def with_fields(**changes: object) -> Lie:
    """Change these fields wherever the answer has them."""
    return lambda said: (json.dumps(_changed(json.loads(said), changes)).encode(), _JSON)


def _changed(value: Any, changes: Mapping[str, object]) -> Any:
    match value:
        case dict():
            return {
                name: changes[name] if name in changes else _changed(inner, changes)
                for name, inner in value.items()
            }
        case list():
            return [_changed(inner, changes) for inner in value]
        case _:
            return value
