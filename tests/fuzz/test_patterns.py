"""Regular expressions: none that a request meets can take it more than a few passes over a text.

A repetition within a repetition can match one text in exponentially many ways (CWE-1333).
"""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from re import _parser  # type: ignore[attr-defined] # of the standard library, and in no stub
from typing import Any, Final

import pytest

PACKAGE: Final = Path(__file__).parents[2] / "extauthz"
# That of URLs is for settings. What imports MLflow's server changes the process.
SKIPPED: Final = frozenset({"_URL"})
MODULES: Final = [
    *(f"extauthz.{module.stem}" for module in PACKAGE.glob("[a-z]*.py") if module.stem != "cli"),
    *(f"extauthz.edge.{module.stem}" for module in (PACKAGE / "edge").glob("[a-z]*.py")),
    *(f"extauthz.plugin.{name}" for name in ("artifacts", "gate", "refused", "settings")),
]
# A bounded repetition costs what it is bounded by.
ENDLESS: Final = 300


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    for name in MODULES:
        for constant, value in vars(import_module(name)).items():
            if isinstance(value, re.Pattern) and constant not in SKIPPED:
                yield f"{name}.{constant}", value


def depth(parsed: Any) -> int:
    """Return how many endless repetitions are within each other."""
    deepest = 0
    for operation, argument in parsed:
        match str(operation), argument:
            case "MAX_REPEAT" | "MIN_REPEAT", (_, most, inner):
                found = depth(inner) + (int(most) > ENDLESS)
            case "SUBPATTERN", (*_, inner):
                found = depth(inner)
            case "BRANCH", (_, branches):
                found = max(depth(branch) for branch in branches)
            case "ASSERT" | "ASSERT_NOT", (_, inner):
                found = depth(inner)
            case _:
                found = 0
        deepest = max(deepest, found)
    return deepest


def test_what_is_looked_for_would_be_found() -> None:
    assert depth(_parser.parse(r"(a+)+$")) == 2
    assert depth(_parser.parse(r"(?:x(a|b*)*)?")) == 2
    assert depth(_parser.parse(r"(a{1,64}/)*")) == 1


@pytest.mark.parametrize(("name", "pattern"), dict(patterns()).items(), ids=dict(patterns()))
def test_no_repetition_is_within_another(
    name: str, pattern: re.Pattern[str] | re.Pattern[bytes]
) -> None:
    """Threat 26."""
    text = pattern.pattern
    flags = pattern.flags & ~re.UNICODE if isinstance(text, bytes) else pattern.flags
    assert depth(_parser.parse(text, flags)) <= 1, name
