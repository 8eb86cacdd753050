"""The decision log: one line for each decision, without secrets."""

from typing import Final

import structlog

from extauthz.edge.record import Record

# A longer one is none that Envoy made.
_LONGEST_ID: Final = 128


class DecisionLog:
    """Writes decisions down; with `subjects` also who asked, and for which project."""

    def __init__(self, *, subjects: bool = False) -> None:
        self._subjects = subjects
        self._log = structlog.get_logger("extauthz.check")

    def check_decided(self, record: Record) -> None:
        """Write a line."""
        self._log.info(
            f"check.{record.outcome}",
            reason=record.reason,
            view=record.view,
            status=record.status,
            method=record.method,
            milliseconds=round(record.seconds * 1000, 3),
            request=record.request[:_LONGEST_ID],
            **self._subject(record),
        )

    def _subject(self, record: Record) -> dict[str, str]:
        if not self._subjects:
            return {}
        return {"project": record.project, "subject": record.subject}
