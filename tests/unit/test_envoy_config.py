"""What the rendered configuration promises, whatever the options."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from betterproto2 import Casing

from extauthz.edge.envoy_config import bootstrap, build
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.edge.settings import Settings, SettingsError

CHECKED_IN = Path(__file__).parents[2] / "envoy" / "envoy.yaml"
FOUR_WORKERS = tuple(f"unix:/run/edge/check-{worker}.sock" for worker in range(4))
INSTALLATIONS = [
    EnvoyOptions(),
    EnvoyOptions(check=FOUR_WORKERS, admin="unix:/run/edge/envoy.sock"),
    EnvoyOptions(listen="0.0.0.0:5000", check=("edge:9000",), mlflow="mlflow:80", admin=None),
    EnvoyOptions(listen="[::]:5000", check_timeout=0.5, trusted_hops=3),
]
every_installation = pytest.mark.parametrize("options", INSTALLATIONS)


def parsed(options: EnvoyOptions) -> dict[str, Any]:
    return bootstrap(options).to_dict(casing=Casing.SNAKE)


def manager(document: dict[str, Any]) -> dict[str, Any]:
    listeners = document["static_resources"]["listeners"]
    config = listeners[0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert isinstance(config, dict)
    return config


def cluster(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = [each for each in document["static_resources"]["clusters"] if each["name"] == name]
    assert len(found) == 1
    assert isinstance(found[0], dict)
    return found[0]


def keys(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys(value)
    if isinstance(node, list):
        for value in node:
            yield from keys(value)


def test_the_checked_in_file_is_what_the_code_builds() -> None:
    assert CHECKED_IN.read_text() == build(EnvoyOptions()), "run `make envoy-config`"


@every_installation
def test_there_is_exactly_one_enforcement_point_and_no_way_around_it(options: EnvoyOptions) -> None:
    """Threats 6 and 11."""
    document = parsed(options)
    http = manager(document)
    names = [each["name"] for each in http["http_filters"]]
    assert names.count("envoy.filters.http.ext_authz") == 1
    assert names.index("envoy.filters.http.ext_authz") < names.index("envoy.filters.http.router")
    assert len(document["static_resources"]["listeners"]) == 1
    routes = [route for host in http["route_config"]["virtual_hosts"] for route in host["routes"]]
    assert all(set(route) == {"match", "route"} for route in routes)
    # A route, host or filter could switch the check off, answer by itself or fail open.
    forbidden = {
        "typed_per_filter_config",
        "disabled",
        "direct_response",
        "redirect",
        "failure_mode_allow",
        "failure_mode_allow_header_add",
        "filter_enabled",
        "filter_enabled_metadata",
        "clear_route_cache",
        "with_request_body",
        "upgrade_configs",
        "allow_connect",
        "shadow_mode",
    }
    assert not forbidden & set(keys(document))


@every_installation
def test_the_edge_has_one_endpoint_per_worker(options: EnvoyOptions) -> None:
    edge = cluster(parsed(options), "edge")
    (locality,) = edge["load_assignment"]["endpoints"]
    assert len(locality["lb_endpoints"]) == len(options.check)
    assert edge["lb_policy"] == "LEAST_REQUEST"


def test_requests_are_normalised_or_refused_before_the_check() -> None:
    """Threats 19 and 31 to 33."""
    http = manager(parsed(EnvoyOptions()))
    assert http["use_remote_address"] is True
    assert http["normalize_path"] is True
    assert http["merge_slashes"] is True
    assert http["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    common = http["common_http_protocol_options"]
    assert common["headers_with_underscores_action"] == "REJECT_REQUEST"
    assert http["max_request_headers_kb"] == 96


def test_an_edge_without_an_answer_is_a_503_after_five_seconds() -> None:
    """Threat 5."""
    filters = {
        f["name"]: f["typed_config"] for f in manager(parsed(EnvoyOptions()))["http_filters"]
    }
    check = filters["envoy.filters.http.ext_authz"]
    assert check["status_on_error"] == {"code": "ServiceUnavailable"}
    assert check["grpc_service"]["timeout"] == "5s"
    assert check["validate_mutations"] is True


def test_the_access_log_has_no_path_query_credential_or_address() -> None:
    (log,) = manager(parsed(EnvoyOptions()))["access_log"]
    line = str(log["typed_config"]["log_format"]).upper()
    for leak in ("PATH", "QUERY", "AUTHORI", "TOKEN", "COOKIE", "REFERER", "ADDRESS", "GRANT"):
        assert leak not in line


def test_large_artifacts_are_cut_off_by_no_deadline() -> None:
    http = manager(parsed(EnvoyOptions()))
    *_, route = http["route_config"]["virtual_hosts"][0]["routes"]
    assert route["match"] == {"prefix": "/"}
    assert route["route"]["timeout"] == "0s"
    assert "request_timeout" not in http


@pytest.mark.parametrize("prefix", ["", "/mlflow"])
def test_exactly_the_pages_of_a_login_lead_to_the_edge(prefix: str) -> None:
    http = manager(parsed(EnvoyOptions(prefix=prefix)))
    *pages, everything = http["route_config"]["virtual_hosts"][0]["routes"]
    assert [route["match"] for route in pages] == [
        {"path": f"{prefix}{path}"}
        for path in ("/auth", "/auth/", "/auth/login", "/auth/authorize", "/auth/logout")
    ]
    assert {route["route"]["cluster"] for route in pages} == {"pages"}
    assert everything["route"]["cluster"] == "mlflow"


def test_the_admin_port_is_on_loopback_and_can_be_left_out() -> None:
    socket = parsed(EnvoyOptions())["admin"]["address"]["socket_address"]
    assert socket["address"] == "127.0.0.1"
    assert "admin" not in parsed(EnvoyOptions(admin=None))


def test_host_names_are_resolved_and_addresses_are_not() -> None:
    document = parsed(EnvoyOptions(check=("unix:/run/check-0.sock",), mlflow="mlflow:5001"))
    assert cluster(document, "edge")["type"] == "STATIC"
    assert cluster(document, "mlflow")["type"] == "STRICT_DNS"


@pytest.mark.parametrize(
    ("url", "where", "host"),
    [
        ("http://127.0.0.1:5001", "127.0.0.1:5001", "127.0.0.1:5001"),
        ("http://mlflow", "mlflow:80", "mlflow"),
        ("http://mlflow.ns.svc:8000", "mlflow.ns.svc:8000", "mlflow.ns.svc:8000"),
    ],
)
def test_mlflow_is_asked_for_the_host_in_its_url(url: str, where: str, host: str) -> None:
    settings = Settings(gitlab_url="https://gitlab.example", mlflow_url=url, trusted_hops=2)
    options = EnvoyOptions.of(settings, check=("127.0.0.1:9000",))
    assert (options.mlflow, options.mlflow_host, options.trusted_hops) == (where, host, 2)


def test_an_mlflow_behind_tls_is_refused() -> None:
    settings = Settings(gitlab_url="https://gitlab.example", mlflow_url="https://mlflow")
    with pytest.raises(SettingsError, match="MLFLOW_URL must be an http URL"):
        EnvoyOptions.of(settings, check=("127.0.0.1:9000",))


def test_an_address_is_a_socket_or_a_path() -> None:
    document = parsed(EnvoyOptions(listen="[::1]:5000", admin="unix:/run/edge/envoy.sock"))
    listen = document["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert listen == {"address": "::1", "port_value": 5000}
    assert document["admin"]["address"] == {"pipe": {"path": "/run/edge/envoy.sock"}}


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValueError, match="neither host:port nor unix:/path"):
        build(EnvoyOptions(check=("9000",)))
