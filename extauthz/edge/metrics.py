"""Metrics: what the edge counts, for Prometheus. No label ever names a person or a project.

Every name begins with `extauthz_` and the thing that is counted. All values of all labels are
there from the start: the rate of a counter that appears with its first event misses that one.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from extauthz.edge.access_cache import Result
from extauthz.edge.operations import Called, Operation
from extauthz.edge.pages import BEGUN, COMPLETED
from extauthz.edge.record import Outcome, Place, Record
from extauthz.edge.refusals import REASONS
from extauthz.edge.sessions import Event

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# From a cached decision (tens of microseconds) to Envoy's deadline.
_CHECK_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

Number = Callable[[], float]


class Metrics:
    """The metrics of one worker."""

    def __init__(self, *, provider: str = "") -> None:
        """Begin to count; `provider` is where permissions come from, gitlab or sharinghub."""
        self.registry: Final = CollectorRegistry()
        self._read: list[tuple[Gauge, Number]] = []
        self._breakers: dict[str, list[Callable[[], bool]]] = {}
        checks = self._counter(
            "extauthz_checks",
            "Decisions by what became of the request, why it was refused, and what it asked for.",
            ("decision", "reason", "view"),
        )
        # Each found once: to look it up takes longer than to count.
        self._checks = {
            labels: checks.labels(*labels)
            for labels in (
                *product([Outcome.ALLOWED, Outcome.REDIRECTED], ["none"], Place),
                *product([Outcome.REFUSED], REASONS, Place),
            )
        }
        self._check_seconds = Histogram(
            "extauthz_check_seconds",
            "Time from Envoy's question to our answer.",
            registry=self.registry,
            buckets=_CHECK_SECONDS,
        )
        self._lookups = self._counter(
            "extauthz_cache_lookups",
            "Look-ups in a cache: known, known to be refused, stale in an outage, or asked for.",
            ("cache", "result"),
        )
        self._lookups_of: dict[tuple[str, Result], Counter] = {}
        self._entries = Gauge(
            "extauthz_cache_entries",
            "Entries of a cache.",
            ["cache"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._calls = self._counter(
            "extauthz_provider_calls",
            "Calls to the provider and to MLflow by operation and outcome.",
            ("operation", "outcome"),
            product(Operation, Called),
        )
        self._call_seconds = Histogram(
            "extauthz_provider_call_seconds",
            "Time of one call to the provider or to MLflow.",
            ["operation"],
            registry=self.registry,
            buckets=_CALL_SECONDS,
        )
        self._retries = self._counter(
            "extauthz_provider_retries",
            "Calls made once more, since the server had closed an idle connection.",
            ("operation",),
            ([operation] for operation in Operation),
        )
        self._breaker = Gauge(
            "extauthz_breaker_open",
            "Whether a server is taken to be down, and so asked by few: 1 or 0.",
            ["server"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._logins = self._counter(
            "extauthz_logins",
            "Logins with GitLab: begun, completed, or the reason of their refusal.",
            ("outcome",),
            ([outcome] for outcome in (BEGUN, COMPLETED, *REASONS)),
        )
        self._sessions = self._counter(
            "extauthz_session_events",
            "Sessions by what happened to them.",
            ("event",),
            ([event] for event in Event),
        )
        # A gauge, since no process can sum up the others' Info.
        build = Gauge(
            "extauthz_build_info",
            "Always 1; the labels say what runs.",
            ["version", "provider"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        build.labels(version("extauthz"), provider).set(1)
        for operation in Operation:
            self._call_seconds.labels(operation)

    def check_decided(self, record: Record) -> None:
        """Count a decision."""
        self._checks[record.outcome, record.reason, record.view].inc()
        self._check_seconds.observe(record.seconds)

    def cache_opened(self, cache: str, entries: Number) -> None:
        """Count the entries of a cache from now on."""
        for result in Result:
            self._lookups_of[cache, result] = self._lookups.labels(cache, result)
        self._read.append((self._entries.labels(cache), entries))

    def looked_up(self, cache: str, result: Result) -> None:
        """Count a look-up."""
        self._lookups_of[cache, result].inc()

    def server_added(self, server: str, is_down: Callable[[], bool]) -> None:
        """Watch a breaker from now on; a server may have several, for different questions."""
        breakers = self._breakers.setdefault(server, [])
        if not breakers:
            down = lambda: any(each() for each in breakers)  # noqa: E731 - four words of glue
            self._read.append((self._breaker.labels(server.lower()), down))
        breakers.append(is_down)

    def provider_call(self, operation: Operation, outcome: Called, seconds: float) -> None:
        """Count a call to the provider or to MLflow."""
        self._calls.labels(operation, outcome).inc()
        self._call_seconds.labels(operation).observe(seconds)

    def provider_retry(self, operation: Operation) -> None:
        """Count a call that is made once more."""
        self._retries.labels(operation).inc()

    def login_changed(self, outcome: str) -> None:
        """Count what became of a login."""
        self._logins.labels(outcome).inc()

    def session_changed(self, event: Event) -> None:
        """Count what happened to a session."""
        self._sessions.labels(event).inc()

    def read_gauges(self) -> None:
        """Find out anew what can only be looked at."""
        for gauge, number in self._read:
            gauge.set(number())

    def render(self) -> bytes:
        """Return the metrics of this worker in Prometheus' text format."""
        self.read_gauges()
        return generate_latest(self.registry)

    def _counter(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        values: Iterable[Sequence[str]] = (),
    ) -> Counter:
        counter = Counter(name, text, labels, registry=self.registry)
        for each in values:
            counter.labels(*each)
        return counter


def render_all(folder: Path) -> bytes:
    """Return the sum of the metrics that the workers keep in a folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call] # theirs
    return generate_latest(registry)
