"""Metrics of the plugin: the grants that came, and what became of the requests under them.

They have an address of their own (METRICS_LISTEN), which Envoy leads nobody to.
"""

import multiprocessing
import os
import threading
import time
from enum import StrEnum
from importlib.metadata import version
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from extauthz.grant import View
from extauthz.plugin.settings import Address, SettingsError

_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_SECONDS_BETWEEN_TRIES: Final = 5.0


class Opened(StrEnum):
    """What became of the grant of a request: it was accepted, or why it was not.

    ABSENT is also what a request to MLflow itself, past Envoy, has. NONE was needed for the health
    check of who runs MLflow.
    """

    ACCEPTED = "accepted"
    NONE = "none"
    ABSENT = "absent"
    REPEATED = "repeated"
    MALFORMED = "malformed"
    FORGED = "forged"
    EXPIRED = "expired"


class Metrics:
    """The metrics of one process of MLflow."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._grants = Counter(
            "extauthz_grants",
            "Grants of requests, by whether they were accepted, or why not.",
            ["result"],
            registry=self.registry,
        )
        self._requests = Counter(
            "extauthz_requests",
            "Requests under an accepted grant, by its view and the class of the answer's status.",
            ["view", "status"],
            registry=self.registry,
        )
        build = Gauge(
            "extauthz_plugin_info",
            "Always 1; the labels say what runs.",
            ["version", "mlflow"],
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        build.labels(version("extauthz"), version("mlflow")).set(1)
        for result in Opened:
            self._grants.labels(result)
        for view, status in product(View, _CLASSES):
            self._requests.labels(view, status)

    def grant_opened(self, result: Opened) -> None:
        """Count a grant."""
        self._grants.labels(result).inc()

    def request_answered(self, view: View, status: int) -> None:
        """Count an answer of MLflow, or of the rules in front of it."""
        self._requests.labels(view, f"{status // 100}xx").inc()

    def serve(self, address: Address) -> None:
        """Serve /metrics from now on, in a thread; raises SettingsError.

        Of several processes of one server, the first serves the sum of all, and another one does
        when it ends.
        """
        several = multiprocessing.parent_process() is not None
        if not os.environ.get(_FOLDER):
            if several:
                raise SettingsError(
                    f"METRICS_LISTEN with several MLFLOW_WORKERS needs {_FOLDER}: a folder, empty "
                    "at the start, where they add up what they count"
                )
            registry = self.registry
        else:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # theirs
        if several:
            threading.Thread(target=_serve_in_turn, args=(address, registry), daemon=True).start()
        else:
            _serve(address, registry)


def _serve(address: Address, registry: CollectorRegistry) -> None:
    host, port = address
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise SettingsError(f"METRICS_LISTEN cannot be listened on: {error.strerror}") from error


def _serve_in_turn(address: Address, registry: CollectorRegistry) -> None:
    while True:
        try:
            _serve(address, registry)
        except SettingsError:
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return
