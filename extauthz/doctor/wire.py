"""The wire: requests sent as they are given, and what came back.

Neither paths nor headers are put in order on the way, and no redirect is followed.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from socket import SHUT_RDWR, AddressFamily, socket
from typing import Any, Final

from aiohttp import (
    AddrInfoType,
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    ThreadedResolver,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from extauthz.edge.address import Address
from extauthz.edge.site import Site

Header = tuple[str, str]
# An answer is only looked at; the configuration of a busy Envoy is larger than any other.
LARGEST: Final = 256 * 1024
LARGEST_CONFIGURATION: Final = 64 * 1024 * 1024
_HEADERS: Final = 96 * 1024
# Of a message, in letters.
_WORDS: Final = 90
# In seconds.
_CONNECTING: Final = 5.0
_GOODBYE: Final = 1.0
# What MLflow's plugin says of requests that no edge has let pass.
_NO_GRANT: Final = "MLflow is served through Envoy only"
_FORGED: Final = "This request's grant is not valid"


class Unreachable(Exception):  # noqa: N818 - says what it is
    """Nobody answers; one line that says who and why, and quotes nothing that was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, with its headers one by one."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed; None if it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def message(self) -> str:
        """What an answer in MLflow's form says to people."""
        match self.json:
            case {"message": str(message)}:
                return message
            case _:
                return ""

    @property
    def cookies(self) -> list[str]:
        """The values of Set-Cookie."""
        return self.headers.getall("Set-Cookie", [])

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("Location", "")

    @property
    def passed_the_edge_by(self) -> bool:
        """Whether MLflow says that nobody has checked the request."""
        return self.message.startswith(_NO_GRANT)

    @property
    def brought_a_forged_grant(self) -> bool:
        """Whether MLflow says that it got a grant that the edge has not made."""
        return self.message.startswith(_FORGED)

    @property
    def is_trouble(self) -> bool:
        """Whether it tells nothing but that something is down: see `answers`."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def short(self) -> str:
        """The status and the first words, for people; what a redirect's query holds stays out."""
        words = self.message[:_WORDS] or self.location.partition("?")[0]
        return f"{self.status} ({words})" if words else str(self.status)


class Wire:
    """Sends requests to anybody."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def ask(
        self,
        method: str,
        url: str,
        headers: Sequence[Header] = (),
        body: bytes | None = None,
        *,
        largest: int = LARGEST,
    ) -> Answer:
        """Send a request with its target as it stands; raises Unreachable."""
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=CIMultiDict(headers),
                data=body,
                allow_redirects=False,
            ) as response:
                content = (
                    b""
                    if response.status == HTTPStatus.SWITCHING_PROTOCOLS
                    else await _read(response, largest)
                )
                return Answer(response.status, response.headers, content)
        except (ClientError, OSError) as error:
            origin = URL(url, encoded=True).origin()
            raise Unreachable(f"{origin} does not answer: {_reason(error)}") from None


@asynccontextmanager
async def opened(site: Site, connect: Address | None = None) -> AsyncIterator[Wire]:
    """Open a wire; what is for the site goes to `connect` if that is given."""
    resolver = _Elsewhere(site, connect) if connect else ThreadedResolver()
    sockets: list[socket] = []
    # Each request has a connection of its own: after an attack a server may well close it.
    connector = TCPConnector(
        ssl=ssl.create_default_context(),
        resolver=resolver,
        force_close=True,
        use_dns_cache=False,
        socket_factory=partial(_socket, sockets),
    )
    async with (
        _closing(sockets),
        ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": "extauthz-doctor", "Accept-Encoding": "identity"},
            auto_decompress=False,
            # The examination limits what a probe takes altogether.
            timeout=ClientTimeout(total=None, sock_connect=_CONNECTING),
            max_line_size=_HEADERS,
            max_field_size=_HEADERS,
        ) as session,
    ):
        yield Wire(session)


def _socket(known: list[socket], address: AddrInfoType) -> socket:
    family, kind, protocol, *_ = address
    known.append(made := socket(family, kind, protocol))
    return made


@asynccontextmanager
async def _closing(sockets: list[socket]) -> AsyncIterator[None]:
    """Hang up: TLS would wait for a goodbye, and Envoy takes its time for that."""
    try:
        yield
    finally:
        for it in sockets:
            with suppress(OSError):
                it.shutdown(SHUT_RDWR)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                while any(it.fileno() >= 0 for it in sockets):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.01)


class _Elsewhere(AbstractResolver):
    """Knows another address of the site, as it will be once the name leads there."""

    def __init__(self, site: Site, address: Address) -> None:
        self._site = URL(site.origin)
        self._address = address
        self._usual = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return where a host is."""
        if (host, port) != (self._site.host, self._site.port):
            return await self._usual.resolve(host, port, family)
        there = await self._usual.resolve(self._address.host, self._address.port, family)
        # The certificate must still be that of the name.
        return [ResolveResult(**{**address, "hostname": host}) for address in there]

    async def close(self) -> None:
        """End what is open."""
        await self._usual.close()


async def _read(response: ClientResponse, largest: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > largest:
            break
    return bytes(content[:largest])


def _reason(error: Exception) -> str:
    match error:
        case ClientConnectorCertificateError():
            return f"its certificate is not trusted here ({_verification(error)})"
        case ClientConnectorDNSError():
            return "its name is not known here"
        case ClientConnectorError(os_error=OSError(strerror=str(reason))):
            return reason
        case _:
            return type(error).__name__


def _verification(error: ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    return cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "unknown"
