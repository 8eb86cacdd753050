"""The README says what the code does."""

import re
from pathlib import Path

from extauthz.edge.metrics import Metrics
from extauthz.edge.refusals import Refusal
from extauthz.edge.settings import Settings
from extauthz.plugin.metrics import Metrics as PluginMetrics

README = (Path(__file__).parents[2] / "README.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = README.partition(f"## {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    lines = [line for line in lines if not line.startswith(("| name |", "|---"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_setting_is_listed_and_every_listed_one_exists() -> None:
    listed = [name for row in rows("Settings") for name in names(row[0])]
    assert sorted(listed) == sorted(name.upper() for name in Settings.model_fields)


def test_the_defaults_are_those_of_the_code() -> None:
    for setting, default, _ in rows("Settings"):
        for name, value in zip(names(setting), names(default), strict=False):
            field = Settings.model_fields[name.lower()]
            assert str(field.default).lower() == value, name


def test_every_metric_is_listed_and_every_listed_one_exists() -> None:
    counted = (Metrics().registry, PluginMetrics().registry)
    families = {family.name for registry in counted for family in registry.collect()}
    listed = {names(row[0])[0].removesuffix("_total") for row in rows("Metrics")}
    assert listed == families


def test_every_refusal_is_explained() -> None:
    statuses = {str(leaf.status) for leaf in Refusal.__subclasses__()}
    assert {row[0] for row in rows("Answers")} == statuses
