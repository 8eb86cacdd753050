"""How fast extauthz is, piece by piece and behind a real Envoy with a real MLflow.

    .venv/bin/python -m benchmarks
    .venv/bin/python -m benchmarks --quick --only edge --only rungs

needs h2load and wrk (Debian: nghttp2-client, wrk). Starts everything on 127.0.0.1 by itself, prints
Markdown, and after a full run, of twenty minutes at most, rewrites benchmarks/results/latest.json.
What is compared is measured in turn, round after round, so that whatever else the machine does
falls on both. A figure is the median of its samples; a ratio or a difference is that of two
medians. `growth.headers` belongs to the core.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from types import ModuleType

from benchmarks import core, edge, growth, report, rungs, targets, tracking, transfer, workers
from benchmarks.effort import FULL, QUICK
from benchmarks.figures import Figures

PARTS: dict[str, ModuleType] = {
    "core": core,
    "edge": edge,
    "rungs": rungs,
    "tracking": tracking,
    "transfer": transfer,
    "growth": growth,
    "workers": workers,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, and how long."""

    quick: bool
    only: Sequence[str]
    json: Path | None

    @property
    def effort(self) -> str:
        """How much is measured, in a word or two."""
        return f"{'quick' if self.quick else 'full'}{', in part' * bool(self.only)}"

    @property
    def files(self) -> list[Path]:
        """Where the figures go; only all of it replaces what was measured before."""
        latest = [] if self.quick or self.only else [report.LATEST]
        return [*latest, *([self.json] if self.json else [])]


def main() -> None:
    options = read_options()
    figures, effort = Figures(), QUICK if options.quick else FULL
    for name in options.only or PARTS:
        began = time.monotonic()
        with TemporaryDirectory(prefix="b-") as folder:
            PARTS[name].measure(figures, effort, Path(folder))
        print(PARTS[name].tables(figures.values()), end="\n\n", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(targets.table(figures.values()))
    for file in options.files:
        report.write(figures, file, effort=options.effort)


def read_options() -> Options:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a little of it; not kept")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument("--json", type=Path, help="write these figures to a file as well")
    given = parser.parse_args()
    for tool in ("h2load", "wrk"):
        if which(tool) is None:
            parser.error(f"{tool} is missing (Debian: nghttp2-client, wrk)")
    return Options(given.quick, given.only or (), given.json)


if __name__ == "__main__":
    main()
