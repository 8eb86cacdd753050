"""How a flood of made-up tokens treats a good user, GitLab and the edge's memory.

    .venv/bin/python -m benchmarks.flood --tokens 1000000 --at-once 1000

is the full run, of twenty minutes. Starts a demo GitLab and an edge on 127.0.0.1 and asks the edge
as Envoy would: a few addresses send the tokens in bursts, and a process of its own checks for the
good user all the time, so that the pauses between the bursts show how he fares alone. Prints
Markdown.

The edge holds up whom it throttles, a second on average and a thousand at once: so more than a
thousand `--at-once` keep it busy, and the good user waits for those before him, whatever they ask.
"""

import argparse
import asyncio
import multiprocessing
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from secrets import token_urlsafe
from statistics import quantiles

import grpc
import psutil

from benchmarks.asking import CHECK, PROJECT, check_of, status_of
from extauthz.edge.throttle import MOST_REFUSALS, SECONDS_PER_REFUSAL
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.edge import Edge, edge
from tests.servers.ports import free_port

HOME = "203.0.113.7"
BURSTS = 5
PAUSE = 3.0
BETWEEN_CHECKS = 0.01
TIMEOUT = 10.0
MIB = 1 << 20
MOST_TOKENS = 1_000_000
MOST_ADDRESSES = 250
# So many calls the demo GitLab remembers.
MOST_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Options:
    """How much is sent: it stops after so many tokens or seconds, whichever comes first.

    So many checks are under way at once, and no more than `rate` begin in a second, if that is set.
    """

    tokens: int
    addresses: int
    at_once: int
    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One check of the good user: when it began, how long it took, and the answer's status."""

    began: float
    seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Burst:
    """Many checks of made-up tokens, and the answers by status."""

    began: float
    ended: float
    answers: Counter[int]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run has shown."""

    samples: Sequence[Sample]
    bursts: Sequence[Burst]
    calls: int
    memory: tuple[int, int]
    processor: float


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory() as folder, GitLab.start() as gitlab:
        gitlab.create_user("ann")
        gitlab.create_project(PROJECT)
        gitlab.add_member(PROJECT, "ann", DEVELOPER)
        nowhere = f"http://127.0.0.1:{free_port()}"
        with edge(Path(folder), gitlab_url=gitlab.url, mlflow_url=nowhere) as server:
            print(table(measure(options, gitlab, server), options))


def read_options() -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--addresses", type=int, default=4, help="0: unknown, never throttled")
    parser.add_argument("--at-once", type=int, default=32, help="checks under way")
    parser.add_argument("--rate", type=float, default=0, help="tokens a second; 0: all it can")
    parser.add_argument("--seconds", type=float, default=1_800, help="stop after that long")
    given = parser.parse_args()
    if not 0 < given.tokens <= MOST_TOKENS or not 0 <= given.addresses <= MOST_ADDRESSES:
        parser.error(f"at most {MOST_TOKENS} tokens and {MOST_ADDRESSES} addresses")
    if given.at_once < 1:
        parser.error("at least one check must be under way")
    return Options(**vars(given))


def measure(options: Options, gitlab: GitLab, server: Edge) -> Measured:
    process = psutil.Process(server.pid)
    here, there = multiprocessing.Pipe()
    question = check_of(gitlab.token("ann"), HOME)
    user = multiprocessing.get_context("spawn").Process(
        target=keep_checking, args=(server.check, question, there), daemon=True
    )
    user.start()
    there.close()
    here.recv()
    gitlab.forget_calls()
    before, used = process.memory_info().rss, busy(process)
    bursts = asyncio.run(send_bursts(server.check, options))
    memory, used = (before, process.memory_info().rss), busy(process) - used
    here.send("stop")
    samples: list[Sample] = here.recv()
    user.join()
    return Measured(samples, bursts, len(gitlab.calls()), memory, used)


def busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def keep_checking(address: str, question: bytes, line: Connection) -> None:
    """Check for the good user until told to stop, and tell how it went."""
    samples = []
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(CHECK)
        check(question, timeout=TIMEOUT, wait_for_ready=True)
        line.send("started")
        while not line.poll(BETWEEN_CHECKS):
            began = time.monotonic()
            answer = check(question, timeout=TIMEOUT)
            samples.append(Sample(began, time.monotonic() - began, status_of(answer)))
    line.send(samples)


async def send_bursts(address: str, options: Options) -> list[Burst]:
    deadline = time.monotonic() + options.seconds
    clients = cycle([f"192.0.2.{number + 1}" for number in range(options.addresses)] or [""])
    bursts = []
    async with grpc.aio.insecure_channel(address) as channel:
        for number in range(BURSTS):
            await asyncio.sleep(PAUSE)
            size = options.tokens * (number + 1) // BURSTS - options.tokens * number // BURSTS
            began, answers = time.monotonic(), Counter[int]()
            turns = enumerate(made_up(clients, size, deadline))
            senders = [send(channel, turns, answers, options) for _ in range(options.at_once)]
            await asyncio.gather(*senders)
            bursts.append(Burst(began, time.monotonic(), answers))
    return bursts


def made_up(clients: Iterator[str], size: int, deadline: float) -> Iterator[bytes]:
    for _ in range(size):
        if time.monotonic() > deadline:
            return
        yield check_of(f"glpat-{token_urlsafe(15)}", next(clients))


async def send(
    channel: grpc.aio.Channel,
    turns: Iterator[tuple[int, bytes]],
    answers: Counter[int],
    options: Options,
) -> None:
    check, began = channel.unary_unary(CHECK), time.monotonic()
    for turn, question in turns:
        if options.rate:
            await asyncio.sleep(began + turn / options.rate - time.monotonic())
        answers[status_of(await check(question, timeout=TIMEOUT))] += 1


def table(measured: Measured, options: Options) -> str:
    bursts = measured.bursts
    answers = sum((burst.answers for burst in bursts), Counter[int]())
    seconds = sum(burst.ended - burst.began for burst in bursts)
    flooded = [one for one in measured.samples if during(one, bursts)]
    alone = [one for one in measured.samples if not during(one, bursts)]
    whole = bursts[-1].ended - bursts[0].began
    allowed = options.addresses * int(MOST_REFUSALS + whole / SECONDS_PER_REFUSAL)
    calls = f"{measured.calls:,}" + " or more" * (measured.calls == MOST_CALLS)
    before, after = (bytes_ / MIB for bytes_ in measured.memory)
    rows = [
        ("good user alone", describe(alone)),
        ("good user during the flood", describe(flooded)),
        ("tokens sent", f"{answers.total():,} from {options.addresses or 'unknown'} addresses"),
        ("at a rate of", f"{answers.total() / seconds:,.0f}/s, {options.at_once} at once"),
        ("answers", ", ".join(f"{status}: {answers[status]:,}" for status in sorted(answers))),
        ("tokens that GitLab may be asked about", f"{allowed:,}" if allowed else "all"),
        ("calls GitLab got, the good user's included", calls),
        ("memory of the edge", f"{before:.1f} MiB before, {after:.1f} MiB after"),
        ("processor time of the edge", f"{measured.processor:.1f} s of {whole:.1f} s"),
        ("machine", f"{psutil.cpu_count()} cores, Python {platform.python_version()}"),
    ]
    return "\n".join(
        f"| {name} | {value} |" for name, value in [("flood", ""), ("---", "---"), *rows]
    )


def during(sample: Sample, bursts: Sequence[Burst]) -> bool:
    return any(burst.began <= sample.began <= burst.ended for burst in bursts)


def describe(samples: Sequence[Sample]) -> str:
    """Return percentiles, and how many checks were not allowed."""
    percentiles = quantiles([sample.seconds * 1000 for sample in samples], n=100)
    refused = sum(sample.status != 200 for sample in samples)  # noqa: PLR2004 - HTTP
    return (
        f"p50 {percentiles[49]:.2f} ms, p99 {percentiles[98]:.2f} ms "
        f"({len(samples):,} checks, {refused} refused)"
    )


if __name__ == "__main__":
    main()
