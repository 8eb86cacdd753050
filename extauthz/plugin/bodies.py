"""Request bodies: bounded, and read before a thread is given to the request.

MLflow's Flask endpoints take JSON and small files, which they hold in memory as a whole. What is
large goes through the artifact proxy, which streams and does not come by here.
"""

from http import HTTPStatus
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extauthz.levels import Role
from extauthz.plugin.context import current
from extauthz.plugin.gate import refused
from extauthz.plugin.refusals import Malformed, Refusal

# A dataset's profile in `log-inputs` may have 16 MiB, which JSON escapes may double.
LARGEST: Final = 32 * 1024 * 1024
LARGEST_OF_A_READER: Final = 1024 * 1024
_WITHOUT: Final = ("GET", "HEAD")
_FRAMING: Final = (b"content-length", b"transfer-encoding")


class TooLarge(Refusal):
    """The body is larger than any that the endpoints take."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    error_code = "INVALID_PARAMETER_VALUE"


class BoundedBodies:
    """Reads the body of each request, refuses one that is too large, and passes the rest on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; Flask has nothing else."""
        try:
            body = await read(receive, _limit(scope["method"]))
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
        else:
            await self._app(_framed(scope, body), once(body, receive), send)


def _limit(method: str) -> int:
    if method in _WITHOUT:
        return 0
    grant = current()
    writes = grant is not None and grant.role is Role.WRITE
    return LARGEST if writes else LARGEST_OF_A_READER


async def read(receive: Receive, limit: int) -> bytes:
    """Return a whole body; raises TooLarge, Malformed."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The client has left before the body ended")
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body that has more bytes than the limit."""
    if not limit:
        # MLflow would read it in place of a missing query.
        return Malformed("A request that only reads must not have a body")
    return TooLarge(f"A request to this endpoint has at most {limit // 1024} KiB")


def _framed(scope: Scope, body: bytes) -> Scope:
    """Return the scope with the length of the body: Flask reads nothing of a chunked one."""
    headers = [header for header in scope["headers"] if header[0] not in _FRAMING]
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    return {**scope, "headers": headers}


def once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields a body that has been read, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Any:
        return messages.pop() if messages else await receive()

    return replay
