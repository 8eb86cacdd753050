"""Figures: the median of what was measured, and what follows from two medians."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor, log10
from statistics import median
from typing import Any, Final, Self

# More digits than any of it deserves, and few enough to read.
_DIGITS: Final = 5
# From the medians of two names.
RULES: Final[Mapping[str, Callable[[float, float], float]]] = {
    "ratio": lambda one, other: one / other,
    "difference": lambda one, other: one - other,
}


@dataclass(slots=True)
class Figures:
    """Samples by name, and how other figures follow from them: a rule and two names."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    derived: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, report: Mapping[str, Any]) -> Self:
        """Return the figures of a report that was written down."""
        derived = {name: (how, one, other) for name, (how, one, other) in report["derived"].items()}
        return cls({name: [*each] for name, each in report["samples"].items()}, derived)

    def add(self, name: str, *values: float) -> None:
        """Note what was measured."""
        self.samples.setdefault(name, []).extend(rounded(value) for value in values)

    def ratio(self, name: str, one: str, other: str) -> None:
        """Let a figure be one median divided by another."""
        self.derived[name] = "ratio", one, other

    def difference(self, name: str, one: str, other: str) -> None:
        """Let a figure be what one median is above another."""
        self.derived[name] = "difference", one, other

    def values(self) -> dict[str, float]:
        """Return every figure by its name, in the order of names."""
        medians = {name: median(each) for name, each in self.samples.items()}
        derived = {
            name: RULES[how](medians[one], medians[other])
            for name, (how, one, other) in self.derived.items()
        }
        return {name: rounded(value) for name, value in sorted({**medians, **derived}.items())}


def rounded(value: float) -> float:
    """Return a number with a few significant digits."""
    if not value:
        return 0.0
    return round(value, _DIGITS - 1 - floor(log10(abs(value))))


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
