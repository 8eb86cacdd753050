"""Faults on demand: what GitLab, or something in front of it, answers on a bad day."""

import asyncio
import re
import socket
import struct
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

_PADDING, _HUGE_END = b" " * 65_536, b"{}"
_HTML = "<!DOCTYPE html><html><head><title>GitLab</title></head><body>Down for now</body></html>"


class Effect(StrEnum):
    """What happens to a call."""

    LATENCY = "latency"  # the answer comes `seconds` later
    THROTTLE = "throttle"  # 429 with Retry-After `seconds`
    ERROR = "error"  # `status` with a JSON body
    HTML = "html"  # `status` with a page, as a proxy, a firewall or maintenance sends it
    RESET = "reset"  # the connection is reset
    HANG = "hang"  # no answer, ever
    TRUNCATE = "truncate"  # half of the real body
    HUGE = "huge"  # `size` bytes
    REDIRECT = "redirect"  # 302 to `location`


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Fault:
    """An effect on calls whose path has a pattern in it, `times` times or for good."""

    effect: Effect
    path: re.Pattern[str] = re.compile("")
    times: int | None = None
    seconds: float = 0.0
    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    size: int = 64 * 1024 * 1024
    location: str = ""


class Faults:
    """The faults in force; the first that matches a call is played."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._rules.append((fault, fault.times))

    def clear(self) -> None:
        """Be healthy again."""
        self._rules.clear()

    def take(self, path: str) -> Fault | None:
        """Return the fault to play on a call, and count it."""
        for index, (fault, left) in enumerate(self._rules):
            if left == 0 or not fault.path.search(path):
                continue
            self._rules[index] = (fault, None if left is None else left - 1)
            return fault
        return None


async def play(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a request the way a fault says."""
    match fault.effect:
        case Effect.LATENCY:
            await asyncio.sleep(fault.seconds)
            answer = await handler(request)
        case Effect.HANG:
            answer = await asyncio.Future()
        case Effect.RESET:
            answer = _reset(request)
        case Effect.TRUNCATE:
            answer = await _truncated(request, await handler(request))
        case Effect.HUGE:
            answer = await _huge(request, fault.size)
        case Effect.THROTTLE | Effect.ERROR | Effect.HTML | Effect.REDIRECT:
            answer = _canned(fault)
    return answer


def _canned(fault: Fault) -> web.Response:
    match fault.effect:
        case Effect.THROTTLE:
            return _throttled(fault.seconds)
        case Effect.HTML:
            return web.Response(status=fault.status, text=_HTML, content_type="text/html")
        case Effect.REDIRECT:
            return web.Response(status=302, headers={"Location": fault.location})
        case _:
            message = f"{fault.status} {fault.status.phrase}"
            return web.json_response({"message": message}, status=fault.status)


def _throttled(seconds: float) -> web.Response:
    """Return a 429 as GitLab's Rack::Attack sends it: plain text with RateLimit headers."""
    reset = datetime.now(UTC) + timedelta(seconds=seconds)
    return web.Response(
        status=429,
        text="Retry later\n",
        headers={
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Limit": "2000",
            "RateLimit-Observed": "2001",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(int(reset.timestamp())),
            "RateLimit-ResetTime": format_datetime(reset, usegmt=True),
            "Retry-After": str(int(seconds)),
        },
    )


def _reset(request: web.Request) -> web.Response:
    """Drop the connection with a TCP reset: closing without lingering sends one."""
    transport = request.transport
    if transport is not None:
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _truncated(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Announce the whole body, send the first half of it and close."""
    body = whole.body if isinstance(whole, web.Response) else None
    body = body if isinstance(body, bytes) else b""
    answer = web.StreamResponse(status=whole.status)
    answer.content_type = whole.content_type
    answer.content_length = len(body)
    answer.force_close()
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return answer


async def _huge(request: web.Request, size: int) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.content_type = "application/json"
    await answer.prepare(request)
    left = size - len(_HUGE_END)
    while left > 0:
        await answer.write(_PADDING[:left])
        left -= len(_PADDING)
    await answer.write(_HUGE_END)
    return answer
