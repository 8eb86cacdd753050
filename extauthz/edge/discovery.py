"""Discovery: where GitLab's OpenID Connect endpoints are (OpenID Connect Discovery 1.0)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from extauthz.edge.cache import Cache
from extauthz.edge.flights import Flights, landed
from extauthz.edge.operations import Operation
from extauthz.edge.outage import Outage
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Call, Upstream

_PATH: Final = "/.well-known/openid-configuration"
_SECONDS_FRESH: Final = 3_600.0
_ONE: Final = ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses; all but that for browsers are given as paths below GitLab's URL."""

    authorization: str
    token: str
    revocation: str


class Discovery:
    """Asks once an hour, and takes no other server's word."""

    def __init__(self, upstream: Upstream, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._clock = clock
        self._known: Cache[str, Endpoints] = Cache(1, clock=clock)
        self._flights: Flights[str, Endpoints] = Flights()

    async def endpoints(self) -> Endpoints:
        """Return the endpoints; raises Unavailable."""
        known = self._known.get(_ONE)
        if known is not None:
            return known
        return await landed(self._flights.join(_ONE, self._ask))

    async def close(self) -> None:
        """End the question under way."""
        await self._flights.close()

    async def _ask(self) -> Endpoints:
        call = Call(Operation.DISCOVERY, _PATH, {}, line=Line.STRANGERS, who=Operation.DISCOVERY)
        answer = await self._upstream.ask(call)
        if answer.status != HTTPStatus.OK:
            raise _unreadable()
        endpoints = self._read(answer.body)
        self._known.put(_ONE, endpoints, until=self._clock() + _SECONDS_FRESH)
        return endpoints

    def _read(self, body: Any) -> Endpoints:
        match body:
            case {
                "issuer": str(issuer),
                "authorization_endpoint": str(authorization),
                "token_endpoint": str(token),
                "revocation_endpoint": str(revocation),
            }:
                base = self._upstream.base
                # The issuer must be whom we asked (4.3), or another server could answer for it.
                if issuer.rstrip("/") != base:
                    raise Outage(
                        "GitLab calls itself by another address than GITLAB_URL. Tell your "
                        "administrator: the two must be equal."
                    )
                if authorization.startswith(f"{base}/"):
                    return Endpoints(authorization, self._path(token), self._path(revocation))
        raise _unreadable()

    def _path(self, address: str) -> str:
        path = address.removeprefix(self._upstream.base)
        if path == address or not path.startswith("/"):
            raise _unreadable()
        return path


def _unreadable() -> Outage:
    return Outage("GitLab does not say where to sign in. Try again in a moment.")
