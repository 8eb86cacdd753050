import asyncio
import gc
import weakref

import pytest
from structlog.testing import capture_logs

from extauthz.edge.flights import Flights, fresh, landed
from extauthz.edge.outage import Busy
from extauthz.edge.refusals import NotFound, Refusal, Unavailable


class Oracle:
    """Answers when told to, and counts the questions."""

    def __init__(self) -> None:
        self.questions = 0
        self.answer = asyncio.get_running_loop().create_future()

    async def ask(self) -> str:
        self.questions += 1
        return str(await asyncio.shield(self.answer))


async def _started() -> None:
    await asyncio.sleep(0)


async def test_a_thousand_callers_ask_once() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    callers = [asyncio.create_task(landed(flights.join("key", oracle.ask))) for _ in range(1000)]
    await _started()

    oracle.answer.set_result("yes")

    assert await asyncio.gather(*callers) == ["yes"] * 1000
    assert oracle.questions == 1


async def test_different_keys_are_different_questions() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    oracle.answer.set_result("yes")

    await asyncio.gather(*(landed(flights.join(key, oracle.ask)) for key in ("a", "b")))

    assert oracle.questions == 2


async def test_only_so_many_are_under_way_and_more_may_join_them() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    for key in ("a", "b"):
        flights.join(key, oracle.ask, most=2)

    with pytest.raises(Busy) as caught:
        flights.join("c", oracle.ask, most=2)

    assert "at once" in str(fresh(caught.value))
    joined = flights.join("a", oracle.ask, most=2)
    oracle.answer.set_result("yes")
    assert await landed(joined) == "yes"
    assert await landed(flights.join("c", oracle.ask, most=2)) == "yes"


async def test_a_caller_who_leaves_takes_nobody_along() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    leaving, staying = [
        asyncio.create_task(landed(flights.join("key", oracle.ask))) for _ in range(2)
    ]
    await _started()

    leaving.cancel()
    await asyncio.wait({leaving})
    oracle.answer.set_result("yes")

    assert leaving.cancelled()
    assert await staying == "yes"
    assert oracle.questions == 1


async def test_a_flight_lands_without_anybody_waiting() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    flight = flights.join("key", oracle.ask)
    caller = asyncio.create_task(landed(flight))
    await _started()
    caller.cancel()

    oracle.answer.set_result("yes")

    assert await flight == "yes"


async def test_a_caller_waits_no_longer_than_his_patience() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    with pytest.raises(TimeoutError):
        await landed(flights.join("key", oracle.ask), patience=0.01)

    oracle.answer.set_result("yes")

    assert await landed(flights.join("key", oracle.ask), patience=5) == "yes"
    assert oracle.questions == 1


async def test_those_who_wait_share_a_refusal_and_the_next_asks_again() -> None:
    flights: Flights[str, str] = Flights()
    oracle = Oracle()
    callers = [asyncio.create_task(landed(flights.join("key", oracle.ask))) for _ in range(3)]
    await _started()
    oracle.answer.set_exception(NotFound("nothing here"))

    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["nothing here"] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3
    with pytest.raises(NotFound):
        await landed(flights.join("key", oracle.ask))
    assert oracle.questions == 2


async def test_a_defect_is_unavailability_and_tells_nothing() -> None:
    async def crash() -> str:
        raise ValueError("glpat-secret")

    flights: Flights[str, str] = Flights()

    with capture_logs() as logs, pytest.raises(Unavailable) as caught:
        await landed(flights.join("key", crash))

    assert [(line["event"], line["error"]) for line in logs] == [("flight.crashed", "ValueError")]
    assert "secret" not in f"{caught.value} {logs}"


async def test_a_kept_refusal_keeps_no_request_alive() -> None:
    class Request:
        pass

    async def refuse() -> str:
        request = Request()
        alive.append(weakref.ref(request))
        raise NotFound("nothing here")

    alive: list[weakref.ref[Request]] = []
    flights: Flights[str, str] = Flights()

    kept = await flights.join("key", refuse)
    gc.collect()

    assert isinstance(kept, Refusal)
    assert alive[0]() is None


async def test_closing_ends_what_is_under_way() -> None:
    flights: Flights[str, str] = Flights()
    caller = asyncio.create_task(landed(flights.join("key", Oracle().ask)))
    await _started()

    await flights.close()

    with pytest.raises(Unavailable, match="shutting down"):
        await caller
