"""From the start of the first part to the end of the last."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from extauthz.local.part import Part, Probe
from extauthz.local.supervisor import PartError, Supervisor
from extauthz.local.terminal import Terminal


class _Stopped(Exception):  # noqa: N818 - the usual end
    """The user has had enough."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Parts to run, the probe that passes all of them, and what to show when it does."""

    parts: Sequence[Part]
    way_through: Probe
    welcome: str
    reload: bool = False

    async def until_stopped(self) -> int:
        """Run until a signal comes or a part fails; returns the exit code."""
        names = [part.name for part in self.parts]
        terminal = Terminal.standard(names, plain="NO_COLOR" in os.environ)
        supervisor = Supervisor(self.parts, terminal)
        terminal.say(f"starting {', '.join(names)}")
        code = 0
        try:
            async with supervisor.running(), asyncio.TaskGroup() as tasks:
                mind = _restart_changed if self.reload else _give_up
                tasks.create_task(mind(supervisor, terminal))
                tasks.create_task(self._greet(supervisor, terminal))
                tasks.create_task(_stop_on_signal(terminal))
        except* _Stopped:
            pass
        except* PartError:
            code = 1
        terminal.say("stopped")
        return code

    async def _greet(self, supervisor: Supervisor, terminal: Terminal) -> None:
        await supervisor.ready()
        await self.way_through.wait()
        terminal.show(self.welcome)


async def _stop_on_signal(terminal: Terminal) -> NoReturn:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    terminal.say("stopping")
    raise _Stopped


async def _give_up(supervisor: Supervisor, terminal: Terminal) -> NoReturn:
    """Stop everything as soon as one part has ended."""
    failure = await supervisor.end()
    terminal.say(f"{failure}: see its lines above; stopping")
    raise failure


async def _restart_changed(supervisor: Supervisor, terminal: Terminal) -> None:
    """Restart the parts whose code changes; one that has ended waits for that."""
    from extauthz.local.reload import changed_parts  # noqa: PLC0415 - watchfiles is for this alone

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_mention_ends(supervisor, terminal))
        async for names in changed_parts():
            if restarted := await supervisor.restart(names):
                terminal.say(f"restarted after a change: {', '.join(restarted)}")


async def _mention_ends(supervisor: Supervisor, terminal: Terminal) -> NoReturn:
    while True:
        terminal.say(f"{await supervisor.end()}; it starts again when its code changes")
