"""How much is measured: enough to trust, or just enough to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Every loop has a bound: rounds of all variants in turn, and what one turn is.

    Calls in this process come in `blocks` of so many `loops`. h2load sends `checks`, and wrk asks
    for so many `seconds`. MLflow is asked `questions` times, and gets `files` of 1 MiB and large
    ones of `stream` bytes.
    """

    rounds: int
    blocks: int
    loops: int
    checks: int
    seconds: int
    strangers: int
    questions: int
    files: int
    streams: int
    stream: int
    users: tuple[int, ...]
    projects: tuple[int, ...]
    experiments: int = 5_000
    owners: int = 500


FULL = Effort(
    rounds=5,
    blocks=100,
    loops=200,
    checks=10_000,
    seconds=3,
    strangers=30,
    questions=100,
    files=30,
    streams=3,
    stream=1 << 30,
    users=(10, 1_000, 20_000, 100_000),
    projects=(10, 100, 1_000, 5_000),
)
QUICK = Effort(
    rounds=3,
    blocks=30,
    loops=50,
    checks=2_000,
    seconds=1,
    strangers=5,
    questions=10,
    files=3,
    streams=3,
    stream=64 << 20,
    users=(10, 1_000),
    projects=(10, 1_000),
    experiments=500,
    owners=50,
)
