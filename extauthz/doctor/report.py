"""The report, for people and for programs."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from extauthz.doctor.finding import Finding, Status

_MARKS: Final = {Status.PASS: "✓", Status.FAIL: "✗", Status.NOT_TESTED: "–"}  # noqa: RUF001 - a dash is meant
_WIDTH: Final = 110


def table(url: str, findings: Sequence[Finding]) -> str:
    """Return a line for each finding, and the remedy under what is wrong."""
    widest = max(len(finding.name) for finding in findings)
    lines = [line for finding in findings for line in _lines(finding, widest)]
    count = Counter(finding.status for finding in findings)
    told = [f"{count[status]} {status.value.replace('_', ' ')}" for status in Status]
    return "\n".join([f"extauthz at {url}", "", *lines, "", ", ".join(told)])


def as_json(url: str, findings: Sequence[Finding]) -> str:
    """Return the same as JSON."""
    count = Counter(finding.status for finding in findings)
    summary = {status.value: count[status] for status in Status}
    listed = [asdict(finding) for finding in findings]
    return json.dumps({"url": url, "summary": summary, "findings": listed}, indent=2)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 if something is wrong."""
    return int(any(finding.status is Status.FAIL for finding in findings))


def _lines(finding: Finding, widest: int) -> Iterator[str]:
    indent = " " * (widest + 4)
    first = f"{_MARKS[finding.status]} {finding.name:<{widest}}  "
    yield from _wrapped(finding.seen, first, indent)
    if finding.remedy and finding.status is Status.FAIL:
        yield from _wrapped(finding.remedy, f"{indent}→ ", f"{indent}  ")


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        _printable(text),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(text: str) -> str:
    """Return a text without what could move the cursor of a terminal: servers are quoted."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
