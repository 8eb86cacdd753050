"""Envoys: with our configuration, with all of it but the authorization, and as an upstream."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from tests.servers.envoy import DEFAULT
from tests.servers.ports import free_port
from tests.servers.processes import answers, running, until
from tests.servers.stack import Proxy

_AUTHORIZATION = "envoy.filters.http.ext_authz"
# Of an answer of MLflow to a small question.
_BODY = '{"experiment": {"experiment_id": "1", "name": "experiment-1"}}'


@contextmanager
def proxy(folder: Path, name: str, *, upstream: int, check: str = "") -> Iterator[Proxy]:
    """Run an Envoy before an upstream; without an address to check with, it asks nobody."""
    port, admin = free_port(), free_port()
    options = EnvoyOptions(
        listen=f"127.0.0.1:{port}",
        check=(check or f"unix:{folder}/nobody.sock",),
        mlflow=f"127.0.0.1:{upstream}",
        mlflow_host=f"127.0.0.1:{upstream}",
        admin=f"127.0.0.1:{admin}",
    )
    config = yaml.safe_load(build(options))
    if not check:
        _remove_authorization(config)
    with _envoy(folder, name, config, port, admin) as process:
        yield process


@contextmanager
def echo(folder: Path) -> Iterator[Proxy]:
    """Run an upstream that is much faster than MLflow: an Envoy that answers by itself."""
    port, admin = free_port(), free_port()
    direct = {"status": 200, "body": {"inline_string": _BODY}}
    answer = {"match": {"prefix": "/"}, "direct_response": direct}
    hosts = [{"name": "all", "domains": ["*"], "routes": [answer]}]
    router = {"@type": f"{_TYPES}.filters.http.router.v3.Router"}
    http = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "echo",
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": http}
    listener = {"address": _address(port), "filter_chains": [{"filters": [network]}]}
    config = {"admin": {"address": _address(admin)}, "static_resources": {"listeners": [listener]}}
    with _envoy(folder, "echo", config, port, admin) as process:
        yield process


_TYPES = "type.googleapis.com/envoy.extensions"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _remove_authorization(config: dict[str, Any]) -> None:
    (listener,) = config["static_resources"]["listeners"]
    (network,) = listener["filter_chains"][0]["filters"]
    filters = network["typed_config"]["http_filters"]
    left = [each for each in filters if each["name"] != _AUTHORIZATION]
    if len(left) != len(filters) - 1:
        raise AssertionError("our configuration has one filter that authorizes")
    network["typed_config"]["http_filters"] = left


@contextmanager
def _envoy(
    folder: Path, name: str, config: dict[str, Any], port: int, admin: int
) -> Iterator[Proxy]:
    written, log = folder / f"{name}.yaml", folder / f"{name}.log"
    written.write_text(yaml.safe_dump(config, sort_keys=False))
    argv = [str(DEFAULT), "-c", str(written), "--disable-hot-restart"]
    argv += ["--concurrency", "1", "-l", "error"]
    with running(argv, log=log) as process:
        until(lambda: answers(admin, "/ready"), process, log=log)
        yield Proxy(port, process.pid, log)
