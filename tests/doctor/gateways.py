"""Envoys before one edge: with our configuration, or with it broken in some way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from tests.servers.edge import Edge
from tests.servers.envoy import DEFAULT
from tests.servers.ports import free_port
from tests.servers.processes import answers, running, until

Config = dict[str, Any]
Change = Callable[[Config], None]
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where an Envoy listens."""

    port: int
    admin: int


def as_it_is(config: Config) -> None:
    """Change nothing."""


@contextmanager
def gateway(
    folder: Path,
    edge: Edge,
    mlflow: int,
    change: Change = as_it_is,
    *,
    pem: Path | None = None,
    binary: Path = DEFAULT,
) -> Iterator[Gateway]:
    """Run an Envoy with a changed configuration, and with TLS where it has a certificate."""
    port, admin = free_port(), free_port()
    options = EnvoyOptions(
        listen=f"127.0.0.1:{port}",
        check=(edge.check,),
        pages=edge.pages,
        mlflow=f"127.0.0.1:{mlflow}",
        mlflow_host=f"127.0.0.1:{mlflow}",
        admin=f"127.0.0.1:{admin}",
    )
    config = yaml.safe_load(build(options))
    if pem is not None:
        listener_of(config)["filter_chains"][0]["transport_socket"] = _tls(pem)
    change(config)
    file, log = folder / "envoy.yaml", folder / "envoy.log"
    file.write_text(yaml.safe_dump(config))
    argv = [str(binary), "-c", str(file), "--disable-hot-restart", "--concurrency", "1"]
    with running([*argv, "-l", "error"], log=log) as process:
        until(lambda: answers(admin, "/ready"), process, log=log)
        yield Gateway(port, admin)


def listener_of(config: Config) -> Config:
    """Return the listener of a configuration."""
    found: Config = config["static_resources"]["listeners"][0]
    return found


def manager_of(config: Config) -> Config:
    """Return its HTTP connection manager."""
    found: Config = listener_of(config)["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def routes_of(config: Config) -> list[Config]:
    """Return its routes: those of the pages, then the one of everything."""
    found: list[Config] = manager_of(config)["route_config"]["virtual_hosts"][0]["routes"]
    return found


def authorizer_of(config: Config) -> Config:
    """Return its ext_authz filter."""
    (found,) = [it for it in manager_of(config)["http_filters"] if "ext_authz" in it["name"]]
    typed: Config = found["typed_config"]
    return typed


def exempt(match: Config, config: Config, *, cluster: str = "mlflow", **route: Any) -> None:
    """Put a route before all others about which nobody is asked."""
    forward = {"cluster": cluster, **route}
    off = {"envoy.filters.http.ext_authz": {"@type": _PER_ROUTE, "disabled": True}}
    routes_of(config).insert(0, {"match": match, "route": forward, "typed_per_filter_config": off})


def _tls(pem: Path) -> Config:
    both = {"certificate_chain": {"filename": str(pem)}, "private_key": {"filename": str(pem)}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": _TLS, "common_tls_context": {"tls_certificates": [both]}},
    }
