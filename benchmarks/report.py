"""The report: figures with all that one needs to judge them, as it is kept in the repository."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.figures import Figures
from tests.servers.envoy import DEFAULT

LATEST: Final = Path(__file__).parent / "results" / "latest.json"
_PACKAGES: Final = ("grpcio", "mlflow", "protobuf", "uvloop")


def report(figures: Figures, *, effort: str) -> dict[str, Any]:
    """Return figures by name, then where they come from, then the samples they follow from."""
    circumstances = {
        "effort": effort,
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "versions": _versions(),
    }
    return {
        **figures.values(),
        **circumstances,
        "derived": figures.derived,
        "samples": figures.samples,
    }


def write(figures: Figures, file: Path = LATEST, *, effort: str) -> None:
    """Write the report, a figure a line; `effort` says how much was measured."""
    told = report(figures, effort=effort)
    nested = {name: _lines(told.pop(name), "  ") for name in ("derived", "samples")}
    parts = {name: json.dumps(value) for name, value in told.items()} | nested
    body = ",\n".join(f"{json.dumps(name)}: {text}" for name, text in parts.items())
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{{\n{body}\n}}\n")


def _lines(values: dict[str, Any], indent: str) -> str:
    lines = [f"{indent}{json.dumps(name)}: {json.dumps(each)}" for name, each in values.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _commit() -> str:
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"


def _machine() -> str:
    told = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in told if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    gib = psutil.virtual_memory().total / (1 << 30)
    return f"{psutil.cpu_count()} cores, {model}, {gib:.0f} GiB, Linux {platform.release()}"


def _versions() -> dict[str, str]:
    envoy = subprocess.run(
        [DEFAULT, "--version"], capture_output=True, text=True, check=False
    ).stdout.split("/")
    return {
        "python": platform.python_version(),
        "envoy": envoy[1] if len(envoy) > 1 else "unknown",
        **{name: version(name) for name in _PACKAGES},
    }
