"""What is read from answers: versions, configurations, cookies and names."""

from importlib.metadata import requires
from typing import Any

import pytest

from extauthz.doctor.configuration import Authorizer, Configuration
from extauthz.doctor.envoy import is_sound, release_in
from extauthz.doctor.finding import Finding, Status
from extauthz.doctor.grants import spoofs
from extauthz.doctor.login import faults_of
from extauthz.doctor.pages import SUPPORTED
from extauthz.doctor.report import exit_code, table
from extauthz.doctor.shadows import is_shadowed
from extauthz.doctor.sharinghub import common_parent, domain_of, is_within
from extauthz.edge.site import Site
from extauthz.grant import GrantForged, GrantKey, GrantVerifier
from tests.servers.mlflow import GRANT_KEY

_EXTENSIONS = "type.googleapis.com/envoy.extensions.filters"
_AUTHORIZER = f"{_EXTENSIONS}.http.ext_authz.v3.ExtAuthz"
_MANAGER = f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"


@pytest.mark.parametrize(
    ("told", "release", "sound"),
    [
        ("9ee1b3a/1.40.0/Clean/RELEASE/BoringSSL", (1, 40, 0), True),
        ("9ee1b3a/1.36.9/Modified/RELEASE/BoringSSL", (1, 36, 9), False),
        ("9ee1b3a/1.36.10-dev/Clean/RELEASE/BoringSSL", (1, 36, 10), True),
        ("1.37.5", (1, 37, 5), False),
        ("v1.37.6", (1, 37, 6), True),
        ("x/1.38.3/y", (1, 38, 3), False),
        ("x/1.39.0/y", (1, 39, 0), False),
        ("x/1.39.3/y", (1, 39, 3), True),
        ("x/1.35.99/y", (1, 35, 99), False),
        ("x/2.0.0/y", (2, 0, 0), True),
    ],
)
def test_releases_of_envoy(told: str, release: tuple[int, int, int], *, sound: bool) -> None:
    assert release_in(told) == release
    assert is_sound(release) is sound


def test_what_is_no_release() -> None:
    assert release_in("") is None
    assert release_in("deadbeef/main") is None


def test_the_supported_mlflow_is_the_one_that_is_installed() -> None:
    wanted = [it for it in requires("extauthz") or () if it.startswith("mlflow<")]
    assert wanted
    assert all(f">={SUPPORTED.rstrip('.')}" in it for it in wanted)


def dump(*filters: dict[str, Any], state: str = "active_state") -> dict[str, Any]:
    """Return what Envoy tells of one listener with these HTTP filters."""
    manager = {"typed_config": {"@type": _MANAGER, "http_filters": list(filters)}}
    listener = {state: {"listener": {"filter_chains": [{"filters": [manager]}]}}}
    kind = "type.googleapis.com/envoy.admin.v3.ListenersConfigDump"
    return {"configs": [{"@type": kind, "dynamic_listeners": [listener]}]}


def asking(cluster: str, *, disabled: bool = False, **more: Any) -> dict[str, Any]:
    """Return an ext_authz filter."""
    service = {"envoy_grpc": {"cluster_name": cluster}}
    typed = {"@type": _AUTHORIZER, "grpc_service": service, **more}
    return {"name": "envoy.filters.http.ext_authz", "typed_config": typed, "disabled": disabled}


def test_filters_of_a_mesh_ask_under_conditions() -> None:
    istio = asking("one", filter_enabled_metadata={"filter": "envoy.filters.http.rbac"})
    gateway = asking("two", disabled=True, failure_mode_allow=True)
    found = Configuration.of(dump(istio, gateway, {"name": "router"}))
    assert found.authorizers == (
        (
            Authorizer("one", fails_open=False, conditional=True),
            Authorizer("two", fails_open=True, conditional=True),
        ),
    )


def test_what_is_not_in_force_does_not_count() -> None:
    assert Configuration.of(dump(asking("x"), state="warming_state")).authorizers == ()


@pytest.mark.parametrize("odd", [None, [], {}, {"configs": "?"}, {"configs": [None, {"x": 1}]}])
def test_what_is_no_configuration(odd: object) -> None:
    assert Configuration.of(odd) == Configuration((), ())


@pytest.mark.parametrize(
    ("public_url", "cookie", "faults"),
    [
        ("https://m.org", "__Host-x=1; Path=/; Secure; HttpOnly; SameSite=Lax", []),
        ("https://m.org/a", "x=1; Path=/a/; Secure; HttpOnly; SameSite=Strict", []),
        ("http://m.org", "x=1; Path=/; HttpOnly; SameSite=Lax", []),
        ("https://m.org", "x=1; Path=/; Secure; HttpOnly; SameSite=Lax", ["no __Host-"]),
        ("https://m.org/a", "x=1; Path=/; Secure; HttpOnly; SameSite=Lax", ["Path=/"]),
        ("https://m.org/a", "x=1; Path=/a/; HttpOnly; SameSite=Lax", ["no Secure"]),
        ("http://m.org", "x=1; Path=/; Secure; HttpOnly; SameSite=Lax", ["Secure under"]),
        ("http://m.org", "x=1; Path=/; SameSite=None; Domain=org", ["no HttpOnly", "no SameSite"]),
    ],
)
def test_faults_of_cookies(public_url: str, cookie: str, faults: list[str]) -> None:
    found = faults_of(cookie, Site.of(public_url))
    assert len(found) >= len(faults)
    assert all(it.startswith(fault) for it, fault in zip(found, faults, strict=False)), found
    assert bool(found) is bool(faults)


@pytest.mark.parametrize(
    ("one", "other", "parent"),
    [
        ("hub.example.org", "mlflow.example.org", "example.org"),
        ("example.org", "mlflow.example.org", "example.org"),
        ("hub.example.org", "hub.example.org", "hub.example.org"),
        ("a.x.example.org", "b.x.example.org", "x.example.org"),
        ("example.org", "example.com", ""),
        ("one.org", "two.org", ""),
        ("10.0.0.1", "11.0.0.1", ""),
        ("localhost", "localhost", "localhost"),
        ("localhost", "127.0.0.1", ""),
    ],
)
def test_domains_that_hosts_share(one: str, other: str, parent: str) -> None:
    assert common_parent(one, other) == common_parent(other, one) == parent


def test_domains_of_cookies() -> None:
    assert domain_of("s=1; path=/; Domain=.Example.org; httponly") == "example.org"
    assert domain_of("s=domain=x; path=/") == ""
    assert is_within("mlflow.example.org", "example.org")
    assert not is_within("evilexample.org", "example.org")


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("static-files/site", True),
        ("ajax-api/2.0", True),
        ("ajax-api/2.0/deep", True),
        ("api/3.0/x", True),
        ("ajax-api/site", False),
        ("health/tracking", False),
        ("v1/traces", False),
        ("auth/login", False),
        ("acme/static-files", False),
    ],
)
def test_projects_at_the_address_of_a_route(path: str, *, lost: bool) -> None:
    assert is_shadowed(path) is lost


@pytest.mark.parametrize("name", spoofs())
def test_no_made_up_grant_is_one(name: str) -> None:
    verifier = GrantVerifier([GrantKey(GRANT_KEY)], instance="gitlab.com")
    for _, value in spoofs()[name]:
        with pytest.raises(GrantForged):
            verifier.open(value)


def test_a_server_cannot_write_to_the_terminal_of_the_operator() -> None:
    found = [Finding("x", Status.FAIL, "said \x1b[2J\x07", "mend it")]
    text = table("https://m.org", found)
    assert "\x1b" not in text
    assert "said ?[2J?" in text
    assert exit_code(found) == 1
