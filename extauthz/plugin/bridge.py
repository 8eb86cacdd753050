"""The bridge: Flask as an ASGI app, in which whoever reads slowly or leaves costs next to nothing.

Starlette's own bridge keeps in memory what a slow reader does not take, and others keep a thread
waiting, or read a file to its end for somebody who has left.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from anyio import CancelScope, CapacityLimiter, create_task_group
from anyio.to_thread import run_sync
from starlette.types import Receive, Scope, Send

Environ = dict[str, Any]
WSGIApp = Callable[[Environ, Callable[..., Any]], Any]

# Bytes that are read at once, and held for each reader.
_PIECE: Final = 256 * 1024
_NAMES: Final = {"content-length": "CONTENT_LENGTH", "content-type": "CONTENT_TYPE"}


@dataclass(slots=True)
class Response:
    """What a WSGI app returned; `read` and `close` may wait, so they belong into a thread."""

    status: int
    headers: list[tuple[bytes, bytes]]
    chunks: Any
    pieces: Iterator[bytes]

    def read(self) -> tuple[bytes, bool]:
        """Return the next piece of the body, and whether there may be more."""
        piece = bytearray()
        for chunk in self.pieces:
            piece += chunk
            if len(piece) >= _PIECE:
                return bytes(piece), True
        return bytes(piece), False

    def close(self) -> None:
        """Let the app release what it holds for the body."""
        if hasattr(self.chunks, "close"):
            self.chunks.close()


class Bridge:
    """Serves a WSGI app in threads, which it takes only while the app itself is at work."""

    def __init__(self, app: WSGIApp, *, threads: int) -> None:
        self._app = app
        self._threads = CapacityLimiter(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whose body arrives as a whole."""
        environ = _environ(scope, (await receive())["body"])
        response = await run_sync(_respond, self._app, environ, limiter=self._threads)
        try:
            start = {"status": response.status, "headers": response.headers}
            await send({"type": "http.response.start", **start})
            await self._send_body(response, receive, send)
        finally:
            with CancelScope(shield=True):
                await run_sync(response.close, limiter=self._threads)

    async def _send_body(self, response: Response, receive: Receive, send: Send) -> None:
        async with create_task_group() as group:
            group.start_soon(_watch, receive, group.cancel_scope)
            more = True
            while more:
                piece, more = await run_sync(response.read, limiter=self._threads)
                await send({"type": "http.response.body", "body": piece, "more_body": more})
            group.cancel_scope.cancel()


async def _watch(receive: Receive, sending: CancelScope) -> None:
    """Stop sending when the client has left: the server goes on without saying so."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()


def _respond(app: WSGIApp, environ: Environ) -> Response:
    started: list[tuple[int, list[tuple[bytes, bytes]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        encoded = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers]
        started.append((int(status.partition(" ")[0]), encoded))

    chunks = app(environ, start_response)
    status, headers = started[-1]
    return Response(status, headers, chunks, iter(chunks))


def _environ(scope: Scope, body: bytes) -> Environ:
    """Return a request as PEP 3333 wants it: text is bytes, decoded as Latin-1."""
    root = scope.get("root_path", "")
    host, port = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": scope["path"].removeprefix(root).encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    return environ | _variables(scope["headers"])


def _variables(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers as variables; the copies of one are joined (RFC 9110, 5.3)."""
    variables: dict[str, str] = {}
    for raw, value in headers:
        header, text = raw.decode("latin-1"), value.decode("latin-1")
        name = _NAMES.get(header, f"HTTP_{header.upper().replace('-', '_')}")
        variables[name] = f"{variables[name]},{text}" if name in variables else text
    return variables
