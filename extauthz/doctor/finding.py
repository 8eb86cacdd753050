"""Findings: what a probe has seen, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Servers are quoted.
_LONGEST: Final = 2_000


class Status(StrEnum):
    """What came of a probe."""

    PASS = "pass"  # noqa: S105 - no secret
    FAIL = "fail"
    NOT_TESTED = "not_tested"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe says; the remedy is empty where nothing is to be done."""

    status: Status
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, under the name of its probe."""

    name: str
    status: Status
    seen: str
    remedy: str = ""

    @classmethod
    def of(cls, name: str, verdict: Verdict) -> "Finding":
        """Name a verdict."""
        return cls(name, verdict.status, verdict.seen[:_LONGEST], verdict.remedy)


def passed(seen: str) -> Verdict:
    """Return that it is as it should be."""
    return Verdict(Status.PASS, seen)


def failed(seen: str, remedy: str) -> Verdict:
    """Return that it is wrong, and how to mend it."""
    return Verdict(Status.FAIL, seen, remedy)


def unchecked() -> Verdict:
    """Return that the edge is not even asked."""
    return untested("the edge is not asked: see `every path checked`")


def down(seen: str) -> Verdict:
    """Return that something is down, which says nothing of what is refused when it is not."""
    return untested(f"{seen}: see `answers`")


def untested(seen: str, remedy: str = "") -> Verdict:
    """Return why nothing can be said, and what a next run would need."""
    return Verdict(Status.NOT_TESTED, seen, remedy)
