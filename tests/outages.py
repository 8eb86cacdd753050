"""The ways in which GitLab, or what is between, gives no answer at all."""

from typing import Final

# An effect of `GitLab.faults`, and its details.
Fault = tuple[str, dict[str, object]]

OUTAGES: Final[list[Fault]] = [
    ("error", {"status": 500}),
    ("html", {"status": 502}),
    ("reset", {}),
    ("hang", {}),
    ("truncate", {}),
    ("huge", {}),
    ("redirect", {"location": "https://evil.example.org/"}),
]
