"""A process that can be killed, frozen and started again."""

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.servers.processes import clean_environment, until


@dataclass(slots=True)
class Part:
    """A program, how it is started, and how one sees that it serves."""

    argv: Sequence[str]
    folder: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    ended_by: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{Path(self.argv[0]).name}.log"

    def start(self, **changed: str) -> None:
        """Run it, with other settings than before where they are given, until it serves."""
        self.env = {**self.env, **changed}
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self.argv,
                stdout=output,
                stderr=output,
                env=clean_environment() | dict(self.env),
                cwd=self.folder,
                user=self.user,
                start_new_session=True,
            )
        self._process = process
        until(self.ready, process, log=self.log)

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        assert self._process is not None
        everything = self._tree()
        self._process.send_signal(self.ended_by)
        try:
            self._process.wait(60)
        finally:
            end(everything)
        self._process.wait()

    def kill(self) -> None:
        """End it without a chance to say so; without effect on what has ended."""
        end(self._tree())
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """Let it hold all it has, and do nothing."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):  # one of PostgreSQL's that came and went
                process.suspend()

    def thaw(self) -> None:
        """Let it go on; without effect on what runs."""
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def restart(self, **changed: str) -> None:
        """Stop it and start it again, with other settings where they are given."""
        self.stop()
        self.start(**changed)

    def _tree(self) -> list[psutil.Process]:
        """Return the process and all its descendants, as those may have left its group."""
        # Once it has been waited for, its number may be that of another process.
        if self._process is None or self._process.poll() is not None:
            return []
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]

    def holds(self) -> "Held":
        """Return what the process holds of the machine."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        return Held(process.num_fds(), process.num_threads(), process.memory_info().rss)


@dataclass(frozen=True, slots=True)
class Held:
    """Open files, threads, and bytes of memory."""

    files: int
    threads: int
    memory: int

    def is_not_more_than(self, before: "Held") -> bool:
        """Tell whether nothing has piled up; pools and caches may have filled."""
        return (
            self.files <= before.files + 40
            and self.threads <= before.threads + 20
            and self.memory <= before.memory + 100 * 1024**2
        )


def end(processes: Sequence[psutil.Process]) -> None:
    """Kill processes and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)
