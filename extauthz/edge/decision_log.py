"""The decision log: one line for each decision, without secrets."""

import json
import sys
from datetime import UTC, datetime
from typing import Final

import structlog

from extauthz import logs
from extauthz.edge.record import Record

# A longer one is none that Envoy made.
_LONGEST_ID: Final = 128
_LEVEL: Final = "info"

_encode: Final = json.JSONEncoder().encode


class DecisionLog:
    """Writes decisions down; with `subjects` also who asked, and for which project.

    Make it after the logs are configured: it looks at that once.
    """

    def __init__(self, *, subjects: bool = False) -> None:
        self._subjects = subjects
        self._log = structlog.get_logger("extauthz.check").bind()
        self._enabled = self._log.is_enabled_for(logs.LEVELS[_LEVEL])
        # By way of structlog's processors, the line is a quarter of an edge's CPU under load.
        self._lines = structlog.WriteLogger(sys.stderr) if logs.are_json() else None

    def check_decided(self, record: Record) -> None:
        """Write a line."""
        if not self._enabled:
            return
        if self._lines is None:
            self._log.info(f"check.{record.outcome}", **self._fields(record))
        else:
            self._lines.msg(self._line(record))

    def _line(self, record: Record) -> str:
        fields = self._fields(record)
        fields["event"] = f"check.{record.outcome}"
        fields["level"] = _LEVEL
        fields["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return _encode(fields)

    def _fields(self, record: Record) -> dict[str, str | float]:
        fields: dict[str, str | float] = {
            "reason": record.reason,
            "view": record.view,
            "status": record.status,
            "method": record.method,
            "milliseconds": round(record.seconds * 1000, 3),
            "request": record.request[:_LONGEST_ID],
        }
        if self._subjects:
            fields |= {"project": record.project, "subject": record.subject}
        return fields
