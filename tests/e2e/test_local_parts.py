"""Parts as real processes: started, watched, stopped, and never left behind."""

import asyncio
import io
import os
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from extauthz.edge.address import Address
from extauthz.local.lifecycle import Lifecycle
from extauthz.local.part import Part, Probe
from extauthz.local.supervisor import Supervisor
from extauthz.local.terminal import Terminal

# Serves 200 on a Unix socket, says so, and says when it is told to end.
SERVE = """
    import http.server, os, signal, socketserver, sys
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        pass
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
        def log_message(self, *_):
            pass
    def end(*_):
        print("ending", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    print("serving as", os.getpid(), flush=True)
    Server(sys.argv[1], Handler).serve_forever()
"""
# Ignores SIGTERM, and has a child that does too.
STUBBORN = """
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child:
        print("parent", os.getpid(), "child", child, flush=True)
    time.sleep(3600)
"""
END = "raise SystemExit(3)"


def part(folder: Path, name: str, script: str) -> Part:
    socket = str(folder / f"{name}.sock")
    argv = (sys.executable, "-c", textwrap.dedent(script), socket)
    return Part(name, argv, dict(os.environ), Probe(Address(path=socket), "/"))


@asynccontextmanager
async def supervised(
    folder: Path, grace: float = 10, **scripts: str
) -> AsyncIterator[tuple[Supervisor, io.StringIO]]:
    out = io.StringIO()
    parts = [part(folder, name, script) for name, script in scripts.items()]
    supervisor = Supervisor(parts, Terminal(out, scripts, colour=False), grace=grace)
    async with supervisor.running():
        yield supervisor, out


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes send no event
            await asyncio.sleep(0.02)


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split() if word.isdigit()]


async def test_everything_starts_at_once_and_stops_in_reverse_order(tmp_path: Path) -> None:
    async with supervised(tmp_path, first=SERVE, second=SERVE) as (supervisor, out):
        async with asyncio.timeout(30):
            await supervisor.ready()
        pids = numbers(out.getvalue())
    assert out.getvalue().splitlines()[-2:] == ["second   | ending", "first    | ending"]
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_part_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    async with supervised(tmp_path, grace=0.1, stubborn=STUBBORN) as (_, out):
        await eventually(lambda: len(numbers(out.getvalue())) == 2)
    pids = numbers(out.getvalue())
    await eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


async def test_a_part_that_ends_by_itself_is_reported(tmp_path: Path) -> None:
    async with supervised(tmp_path, brief=END) as (supervisor, _), asyncio.timeout(30):
        assert str(await supervisor.end()) == "brief has ended with exit code 3"


async def test_a_restarted_part_is_a_new_process_and_no_failure(tmp_path: Path) -> None:
    async with supervised(tmp_path, part=SERVE) as (supervisor, out), asyncio.timeout(30):
        await supervisor.ready()
        assert await supervisor.restart({"part", "unknown"}) == ["part"]
        await eventually(lambda: out.getvalue().count("serving as") == 2)
        first, second = numbers(out.getvalue())
        assert first != second
        ending = asyncio.create_task(supervisor.end())
        os.kill(second, signal.SIGKILL)
        assert str(await ending) == "part has ended with signal 9"


async def test_lines_without_an_end_come_in_pieces_and_are_all_shown(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write('x' * 200_000 + '\\nlast without end')"
    async with supervised(tmp_path, part=script) as (supervisor, out), asyncio.timeout(30):
        await supervisor.end()
    assert out.getvalue().count("x") == 200_000
    assert out.getvalue().endswith("part     | last without end\n")


async def test_one_part_that_fails_stops_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [part(tmp_path, "first", SERVE), part(tmp_path, "second", END)]
    life = Lifecycle(parts, parts[0].ready, "welcome")
    async with asyncio.timeout(30):
        assert await life.until_stopped() == 1
    out = capsys.readouterr().out
    assert "extauthz | second has ended with exit code 3: see its lines above; stopping\n" in out
    assert out.endswith("extauthz | stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    parts = [part(tmp_path, "only", SERVE)]
    living = asyncio.create_task(Lifecycle(parts, parts[0].ready, "welcome").until_stopped())
    shown = ""

    def welcomed() -> bool:
        nonlocal shown
        shown += capsys.readouterr().out
        return "welcome" in shown

    await eventually(welcomed)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(30):
        assert await living == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["only     | ending", "extauthz | stopped"]


async def test_parts_end_when_we_are_killed(tmp_path: Path) -> None:
    supervising = f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.e2e.test_local_parts import SERVE, part
        from extauthz.local.lifecycle import Lifecycle
        parts = [part(Path({str(tmp_path)!r}), "only", SERVE)]
        asyncio.run(Lifecycle(parts, parts[0].ready, "welcome").until_stopped())
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", textwrap.dedent(supervising)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while not (pids := numbers((await process.stdout.readline()).decode())):
            pass
    process.kill()
    await process.wait()
    await eventually(lambda: not psutil.pid_exists(pids[0]))
