"""Logs: one JSON object a line, or aligned text on a terminal."""

import sys
from typing import Final

import structlog

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_AS_JSON: Final = (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())


def configure(form: str = "auto", level: str = "info") -> None:
    """Set up structlog for the process; call it once, at start.

    `form` is json, console, or auto: text on a terminal, JSON elsewhere.
    """
    as_text = sys.stderr.isatty() if form == "auto" else form == "console"
    structlog.configure(
        processors=[
            # The plugin's: the id of the running request.
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.dev.ConsoleRenderer()] if as_text else _AS_JSON),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def are_json() -> bool:
    """Whether lines are JSON, as they were configured."""
    return structlog.get_config()["processors"][-1] is _AS_JSON[-1]
