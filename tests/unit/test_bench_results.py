"""The benchmark's kept results: what is claimed follows from the samples beside it."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.figures import Figures
from benchmarks.report import LATEST, write
from benchmarks.targets import TARGETS

NEEDED = {
    "edge.cpu_us_per_check",
    "core.cached_us",
    "envoy.added_p50_ms_c1",
    "mlflow.get_ratio",
    "mlflow.get_ratio_bare",
    "mlflow.search_project_ratio",
    "mlflow.search_global10_ratio",
    "edge.cold_provider_calls",
}
CIRCUMSTANCES = {"effort", "commit", "date", "machine", "versions", "derived", "samples"}


@pytest.fixture(scope="module")
def latest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(LATEST.read_text())
    return found


def test_every_figure_follows_from_its_samples(latest: dict[str, Any]) -> None:
    samples, derived = latest["samples"], latest["derived"]
    figures = {name: value for name, value in latest.items() if name not in CIRCUMSTANCES}
    assert figures.keys() == samples.keys() | derived.keys()
    for name, values in samples.items():
        assert figures[name] == pytest.approx(median(values), rel=1e-4), name
    for name, (how, one, other) in derived.items():
        first, second = median(samples[one]), median(samples[other])
        wanted = first / second if how == "ratio" else first - second
        assert figures[name] == pytest.approx(wanted, rel=1e-4), name


def test_all_is_there_that_has_a_target_or_is_promised(latest: dict[str, Any]) -> None:
    assert latest.keys() >= NEEDED | TARGETS.keys() | CIRCUMSTANCES


def test_what_is_compared_was_measured_equally_often(latest: dict[str, Any]) -> None:
    """Both sides of a ratio come from the same rounds."""
    samples = latest["samples"]
    for name, (_, one, other) in latest["derived"].items():
        assert len(samples[one]) == len(samples[other]) >= 3, name


def test_a_report_says_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    figures, file = Figures(), tmp_path / "some.json"
    figures.add("one", 1.23456789, 2, 0.0)
    figures.add("other", 4)
    figures.ratio("share", "one", "other")
    figures.difference("less", "one", "other")
    write(figures, file, effort="quick")
    report = json.loads(file.read_text())
    assert (report["one"], report["share"], report["less"]) == (1.2346, 0.30865, -2.7654)
    assert Figures.read(report).values() == figures.values()
