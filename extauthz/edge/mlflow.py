"""MLflow as the edge asks it: which projects have anything there."""

import time
from collections.abc import Callable
from http import HTTPStatus
from itertools import pairwise
from typing import Any, Final

from extauthz.edge.cache import Cache
from extauthz.edge.flights import Flights, landed
from extauthz.edge.operations import Operation
from extauthz.edge.refusals import Unavailable
from extauthz.edge.upstream import Answer, Call, Upstream
from extauthz.grant import HEADER, Grant, GrantSigner, View

_PATH: Final = "/extauthz/v1/projects"


class OwnedProjects:
    """Asks our plugin in MLflow which projects own rows, and remembers the answer."""

    def __init__(
        self,
        upstream: Upstream,
        signer: GrantSigner,
        *,
        instance: str,
        seconds_fresh: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._signer = signer
        self._grant = Grant(view=View.SYSTEM, instance=instance)
        self._seconds_fresh = seconds_fresh
        self._clock = clock
        self._known: Cache[str, tuple[int, ...]] = Cache(1, clock=clock)
        self._flights: Flights[str, tuple[int, ...]] = Flights()

    async def ids(self) -> tuple[int, ...]:
        """Return the ids of those projects, ascending; raises Unavailable."""
        known = self._known.get(Operation.OWNED)
        if known is not None:
            return known
        return await landed(self._flights.join(Operation.OWNED, self._ask))

    async def close(self) -> None:
        """End the question under way."""
        await self._flights.close()

    async def _ask(self) -> tuple[int, ...]:
        call = Call(Operation.OWNED, _PATH, {HEADER: self._signer.sign(self._grant)})
        try:
            ids = _ids(await self._upstream.ask(call))
        except Unavailable as trouble:
            # Not the provider's trouble: nothing is served stale because of it.
            raise _unavailable() from trouble
        self._known.put(Operation.OWNED, ids, until=self._clock() + self._seconds_fresh)
        return ids


def _ids(answer: Answer) -> tuple[int, ...]:
    match answer.status, answer.body:
        case HTTPStatus.OK, {"projects": list(ids)} if _ascend(ids):
            return tuple(ids)
        case _:
            raise _unavailable()


def _ascend(ids: list[Any]) -> bool:
    return all(type(number) is int for number in ids) and all(a < b for a, b in pairwise(ids))


def _unavailable() -> Unavailable:
    return Unavailable("MLflow does not say which projects it has. Try again in a moment.")
