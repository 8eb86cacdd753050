"""How long a call takes in this process, and a decision core to call."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, redirect_stderr
from pathlib import Path

from benchmarks.figures import Figures
from extauthz.edge.app import checker
from extauthz.edge.check import Checker
from extauthz.edge.metrics import Metrics
from extauthz.edge.settings import Settings
from extauthz.logs import configure
from tests.servers.edge import INSTANCE, SECRET_KEY

Calls = Mapping[str, Callable[[], object]]


def time_in_turn(figures: Figures, calls: Calls, *, rounds: int, loops: int) -> None:
    """Note the microseconds of each call, all of them in turn in every round.

    Many short rounds: whatever interrupts us falls into few of them, which a median ignores.
    """
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(loops):
                call()
            figures.add(name, (time.perf_counter() - began) / loops * 1e6)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Log as the edge does, each decision, until the block ends."""
    with file.open("w") as output, redirect_stderr(output):
        configure("json")
        yield


@asynccontextmanager
async def core(gitlab_url: str) -> AsyncIterator[Checker]:
    """Put the edge together as it serves, but for the transport: with its metrics and its log."""
    settings = Settings.load(settings_of(gitlab_url))
    async with checker(settings, Metrics(provider="gitlab")) as built:
        yield built


def settings_of(gitlab_url: str) -> dict[str, str]:
    """Return the settings of an edge that asks nobody twice while it is measured."""
    return {
        "GITLAB_URL": gitlab_url,
        "SECRET_KEY": SECRET_KEY,
        "INSTANCE_ID": INSTANCE,
        "PROJECT_CACHE_TIMEOUT": "3600",
    }
