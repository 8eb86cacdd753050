"""The real Envoy as Istio configures it: its filter pair for an external authorizer.

What Istio generates from an AuthorizationPolicy with CUSTOM is a shadow RBAC filter, whose rules
are the policy's, and an ext_authz filter that asks only where one of them matched. A gateway of
Istio neither merges slashes nor refuses escaped ones, and upgrades to WebSockets.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.ports import free_port
from tests.servers.processes import answers, running, until
from tests.servers.stack import Proxy

PROVIDER = "extauthz"
_TYPE = "type.googleapis.com/envoy.extensions"
_FILTERS = f"{_TYPE}.filters.http"
_SHADOW = "istio_ext_authz_"
# How the shadow rules of a policy are named: by Istio up to 1.29, and from 1.30 on.
NAMINGS = {"1.29": "istio-ext-authz", "1.30": f"istio-ext-authz-{PROVIDER}"}
EVERYTHING: Sequence[Mapping[str, Any]] = ({"any": True},)


@dataclass(frozen=True, slots=True)
class Policy:
    """An AuthorizationPolicy: the permissions of its one rule, and Istio's name for it."""

    naming: str
    permissions: Sequence[Mapping[str, Any]] = EVERYTHING

    @property
    def prefix(self) -> str:
        """What the ids of its shadow rules begin with."""
        return NAMINGS[self.naming]

    @property
    def rule(self) -> str:
        """The id of its one shadow rule."""
        return f"{self.prefix}-ns[mlflow]-policy[extauthz]-rule[0]"


def all_but(path: str) -> Sequence[Mapping[str, Any]]:
    """Return the permissions of a rule with `notPaths`."""
    return ({"not_rule": {"url_path": {"path": {"exact": path}}}},)


@contextmanager
def istio_gateway(
    folder: Path, binary: Path, policy: Policy, *, check: str, mlflow: int
) -> Iterator[Proxy]:
    """Run an Envoy like Istio's gateway until the block ends; `check` is the edge's socket."""
    port, admin = free_port(), free_port()
    config, log = folder / "istio.json", folder / "istio.log"
    config.write_text(json.dumps(_config(port, admin, policy, check, mlflow)))
    argv = [str(binary), "-c", str(config), "--disable-hot-restart"]
    with running([*argv, "--concurrency", "1", "-l", "error"], log=log) as process:
        until(lambda: answers(admin, "/ready"), process, log=log)
        yield Proxy(port, process.pid, log)


def _config(port: int, admin: int, policy: Policy, check: str, mlflow: int) -> dict[str, Any]:
    host = f"127.0.0.1:{mlflow}"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "mlflow", "host_rewrite_literal": host}}
    manager = "network.http_connection_manager.v3.HttpConnectionManager"
    connections = {
        "@type": f"{_TYPE}.filters.{manager}",
        "stat_prefix": "outbound_0.0.0.0_8080",
        "normalize_path": True,
        "use_remote_address": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [*_pair(policy), _filter("router", "router.v3.Router")],
    }
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [
                {
                    "address": _address(port),
                    "filter_chains": [
                        {"filters": [{"name": "http", "typed_config": connections}]},
                    ],
                }
            ],
            "clusters": [
                _cluster("mlflow", _address(mlflow)),
                _cluster("edge", {"pipe": {"path": check.removeprefix("unix:")}}, http2=True),
            ],
        },
    }


def _pair(policy: Policy) -> list[dict[str, Any]]:
    shadow = {
        "action": "DENY",
        "policies": {
            policy.rule: {
                "permissions": [{"and_rules": {"rules": list(policy.permissions)}}],
                "principals": [{"and_ids": {"ids": [{"any": True}]}}],
            }
        },
    }
    enabled = {
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": f"{_SHADOW}shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": policy.prefix}},
    }
    service = {"cluster_name": "edge", "authority": "extauthz-edge.mlflow.svc.cluster.local"}
    return [
        _filter("rbac", "rbac.v3.RBAC", shadow_rules=shadow, shadow_rules_stat_prefix=_SHADOW),
        _filter(
            "ext_authz",
            "ext_authz.v3.ExtAuthz",
            grpc_service={"envoy_grpc": service, "timeout": "5s"},
            transport_api_version="V3",
            filter_enabled_metadata=enabled,
            status_on_error={"code": "ServiceUnavailable"},
        ),
    ]


def _filter(name: str, kind: str, **fields: object) -> dict[str, Any]:
    typed = {"@type": f"{_FILTERS}.{kind}", **fields}
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed}


def _cluster(name: str, address: Mapping[str, Any], *, http2: bool = False) -> dict[str, Any]:
    options = {
        "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {
            "http2_protocol_options" if http2 else "http_protocol_options": {}
        },
    }
    return {
        "name": name,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
