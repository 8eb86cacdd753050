"""What processes use: time on the processor, and memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

MIB = 1 << 20
_BETWEEN_LOOKS = 0.02


def busy(process: psutil.Process) -> float:
    """Return the seconds that a process has had on a processor."""
    times = process.cpu_times()
    return float(times.user + times.system)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    head = psutil.Process(pid)
    return [head, *head.children(recursive=True)]


def memory(processes: list[psutil.Process]) -> float:
    """Return the resident memory of processes, in MiB."""
    return sum(float(process.memory_info().rss) for process in processes) / MIB


@dataclass(slots=True)
class Growth:
    """How many MiB of memory processes had before, and at most since then."""

    before: float
    most: float

    @property
    def grown(self) -> float:
        """How much more that was."""
        return self.most - self.before


@contextmanager
def watching(pids: dict[str, int]) -> Iterator[dict[str, Growth]]:
    """Watch the memory of servers until the block ends, each with its descendants."""
    families = {name: family(pid) for name, pid in pids.items()}
    seen = {name: Growth(size, size) for name, each in families.items() for size in [memory(each)]}
    over = threading.Event()

    def look() -> None:
        while not over.wait(_BETWEEN_LOOKS):
            for name, each in families.items():
                seen[name].most = max(seen[name].most, memory(each))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
