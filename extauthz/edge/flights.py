"""Flights: many callers who want the same answer at the same time share one question."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

import structlog

from extauthz.edge.outage import Busy
from extauthz.edge.refusals import Refusal, Unavailable

MOST: Final = 1_000
_CLOSING: Final = "This server is shutting down. Try again in a moment."

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """Questions under way, one per key.

    A flight belongs to nobody: it lands even if all who wait for it have gone. Those who wait
    share its refusal too, and whoever comes after it has landed starts a new one.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V | Refusal]] = {}
        self._log = structlog.get_logger("extauthz.flights")

    def join(
        self, key: K, ask: Callable[[], Awaitable[V]], *, most: int = MOST
    ) -> asyncio.Task[V | Refusal]:
        """Return the flight for a key, started now if there is none.

        Raises Busy where it would be one more than `most`.
        """
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= most:
                raise Busy
            flight = self._flights[key] = asyncio.create_task(self._fly(ask))
            flight.add_done_callback(lambda _: self._flights.pop(key))
        return flight

    async def land(self, *, seconds: float) -> None:
        """Wait for all flights, for so long at most."""
        if flights := list(self._flights.values()):
            await asyncio.wait(flights, timeout=seconds)

    async def close(self) -> None:
        """End all flights."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _fly(self, ask: Callable[[], Awaitable[V]]) -> V | Refusal:
        try:
            return await ask()
        except Refusal as refusal:
            return fresh(refusal)
        except Exception as error:  # noqa: BLE001 - fail closed: a defect of ours is no answer
            self._log.error("flight.crashed", error=type(error).__name__)
            return Unavailable("Permissions could not be checked because of an internal error.")


async def landed(flight: asyncio.Task[V | Refusal], *, patience: float | None = None) -> V:
    """Wait for a flight; raises its Refusal, or TimeoutError after `patience` seconds.

    Cancelling the waiting caller does not cancel the flight.
    """
    done, _ = await asyncio.wait({flight}, timeout=patience)
    if not done:
        raise TimeoutError
    outcome = Unavailable(_CLOSING) if flight.cancelled() else flight.result()
    if isinstance(outcome, Refusal):
        raise fresh(outcome)
    return outcome


def fresh(refusal: Refusal) -> Refusal:
    """Return a copy without traceback: it is kept and raised again, and must not pin frames."""
    return copy.copy(refusal)
