"""Logs: one JSON object a line, or aligned text on a terminal."""

import sys

import structlog


def configure(*, as_json: bool) -> None:
    """Set up structlog for the process; call it once, at start."""
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
