"""Load: h2load for checks over gRPC, and wrk for HTTP, both Debian's."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import CHECK

_SCRIPT = Path(__file__).with_name("latency.lua")
# Above what any run may take.
_MOST_SECONDS = 120.0


class LoadFailed(Exception):  # noqa: N818 - named for what happened
    """A generator of load that did not run, or got an answer that is no success."""


@dataclass(frozen=True, slots=True)
class Checks:
    """So many checks were answered, in so many seconds."""

    done: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Requests:
    """So many requests were answered, in so many seconds; percentiles in milliseconds."""

    done: int
    seconds: float
    p50: float
    p99: float


def send_checks(
    address: str, question: bytes, folder: Path, *, count: int, at_once: int = 32
) -> Checks:
    """Ask an edge the same question so often on one connection; raises LoadFailed."""
    process = start_checks(address, question, folder, count=count, at_once=at_once)
    return finish_checks(process, count)


def start_checks(
    address: str, question: bytes, folder: Path, *, count: int, at_once: int = 32
) -> "subprocess.Popen[str]":
    """Begin to ask; to be finished by `finish_checks`."""
    body = folder / f"{Path(address).name}.body"
    # A gRPC message: not compressed, and its length.
    body.write_bytes(b"\0" + len(question).to_bytes(4, "big") + question)
    command = ["h2load", "-n", str(count), "-c", "1", "-m", str(at_once), "-d", str(body)]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    command += ["-B", address, f"http://edge{CHECK}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish_checks(process: "subprocess.Popen[str]", count: int) -> Checks:
    """Wait until all is asked; raises LoadFailed."""
    output = _output(process)
    took = re.search(r"finished in ([0-9.]+)(ms|s)", output)
    if took is None or f" {count} succeeded" not in output:
        raise LoadFailed(output)
    return Checks(count, float(took[1]) / (1000 if took[2] == "ms" else 1))


def send_requests(
    url: str, *, connections: int, seconds: int, headers: Mapping[str, str]
) -> Requests:
    """Ask for a URL on so many connections for so long; raises LoadFailed."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", str(_SCRIPT)]
    command += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    output = _output(
        subprocess.Popen(
            [*command, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    )
    told = output.splitlines()[-1] if output else ""
    if not told.startswith("{") or (found := json.loads(told))["errors"]:
        raise LoadFailed(output)
    return Requests(found["requests"], found["seconds"], found["p50"] / 1000, found["p99"] / 1000)


def _output(process: "subprocess.Popen[str]") -> str:
    try:
        output, _ = process.communicate(timeout=_MOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LoadFailed(f"{process.args!r} took too long") from None
    return output
