"""Who waits for whom before a server is asked, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from extauthz.edge.operations import Operation
from extauthz.edge.outage import Busy, Outage
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Answer, Call
from tests.access import TIMEOUT
from tests.gitlab import GitLab
from tests.servers.ports import free_port
from tests.upstream import CALL, OK, Observed, asking

SLOTS = Line.CHECKS.slots


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    return running


@pytest.fixture
async def upstream(gitlab: GitLab) -> AsyncIterator[Observed]:
    async with asking(gitlab.url) as upstream:
        yield upstream


async def test_only_so_many_calls_are_under_way_at_once() -> None:
    under_way: list[int] = []
    connections: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        while not reader.at_eof():
            if not await reader.readline():
                break
            await reader.readuntil(b"\r\n\r\n")
            under_way.append(len(connections))
            await asyncio.sleep(0.02)
            writer.write(OK)
        connections.remove(writer)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with asking(f"http://127.0.0.1:{port}") as upstream:
        await asyncio.gather(*(upstream.ask() for _ in range(4 * SLOTS)))

    assert max(under_way) == SLOTS
    server.close()


async def test_strangers_wait_for_each_other_and_hold_nobody_else_up(
    gitlab: GitLab, upstream: Observed
) -> None:
    gitlab.faults("hang", path="stranger")
    stranger = Call(Operation.PROJECT, "/api/v4/stranger", {}, line=Line.STRANGERS)
    hanging = [asyncio.create_task(upstream.ask(stranger)) for _ in range(Line.STRANGERS.slots)]
    await _until(lambda: len(gitlab.calls()) == Line.STRANGERS.slots)

    for call in (CALL, replace(CALL, line=Line.VIEWS)):
        assert (await upstream.ask(call)).status == 401
    with pytest.raises(Busy):
        await upstream.ask(replace(stranger, optional=True))

    assert not any(task.done() for task in hanging)
    assert upstream.calls.outcomes == ["answered", "answered", "busy"]
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


async def test_who_waits_in_vain_while_others_are_answered_learns_that_we_are_busy(
    gitlab: GitLab, upstream: Observed
) -> None:
    gitlab.faults("latency", seconds=TIMEOUT * 0.4)

    outcomes = await asyncio.gather(
        *(upstream.ask() for _ in range(6 * SLOTS)), return_exceptions=True
    )

    kinds = [type(outcome) for outcome in outcomes]
    assert set(kinds) == {Answer, Busy}
    assert upstream.calls.outcomes.count("busy") == kinds.count(Busy)
    gitlab.heal()
    assert (await upstream.ask()).status == 401


async def test_nobody_waits_long_for_a_place_and_that_does_not_count_as_down(
    gitlab: GitLab,
) -> None:
    gitlab.faults("hang")
    async with asking(gitlab.url, seconds=60) as upstream:
        hanging = [asyncio.create_task(upstream.ask()) for _ in range(SLOTS)]
        await _until(lambda: len(gitlab.calls()) == SLOTS)

        outcomes = await asyncio.gather(
            *(upstream.ask() for _ in range(10)), return_exceptions=True
        )

        assert {type(outcome) for outcome in outcomes} == {Outage}
        assert not any(call.done() for call in hanging)
        for call in hanging:
            call.cancel()
        await asyncio.wait(hanging)
        gitlab.heal()
        assert (await upstream.ask()).status == 401


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)
