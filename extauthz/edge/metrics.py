"""Metrics: what the edge counts, for Prometheus. No label ever names a person or a project."""

from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a cached decision (tens of microseconds) to Envoy's deadline.
_CHECK_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """The counters of one worker."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._decisions = Counter(
            "extauthz_check_decisions_total",
            "Decisions by outcome: allowed, moved, or the reason of the refusal.",
            ["outcome"],
            registry=self.registry,
        )
        self._check_seconds = Histogram(
            "extauthz_check_seconds",
            "Time from Envoy's question to our answer.",
            registry=self.registry,
            buckets=_CHECK_SECONDS,
        )
        self._calls = Counter(
            "extauthz_provider_calls_total",
            "Calls to the provider and to MLflow by operation and outcome.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "extauthz_provider_call_seconds",
            "Time of one call to the provider or to MLflow.",
            ["operation"],
            registry=self.registry,
            buckets=_CALL_SECONDS,
        )

        self._stale = Counter(
            "extauthz_stale_answers_total",
            "Answers from before an outage of the provider, served in it.",
            registry=self.registry,
        )
        self._sessions = Counter(
            "extauthz_session_events_total",
            "Sessions by what happened: begun, refreshed, refresh_failed, lost or ended.",
            ["event"],
            registry=self.registry,
        )

    def check_decided(self, outcome: str, seconds: float) -> None:
        """Count a decision."""
        self._decisions.labels(outcome).inc()
        self._check_seconds.observe(seconds)

    def provider_call(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to the provider or to MLflow."""
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def stale_served(self) -> None:
        """Count an answer from before an outage."""
        self._stale.inc()

    def session_changed(self, event: str) -> None:
        """Count what happened to a session."""
        self._sessions.labels(event).inc()

    def render(self) -> bytes:
        """Return the metrics of this worker in Prometheus' text format."""
        return generate_latest(self.registry)


def render_all(folder: Path) -> bytes:
    """Return the sum of the metrics that the workers keep in a folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call] # theirs
    return generate_latest(registry)
