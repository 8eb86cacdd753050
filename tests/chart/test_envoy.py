"""Envoy's configuration in the chart is the one that extauthz builds."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.edge.settings import Settings
from tests.chart.chart import CHART, TOPOLOGIES, Release, render, rendered, values_of
from tests.chart.test_settings import opened
from tests.servers import envoy

PLACEHOLDERS: Final = EnvoyOptions(
    listen="0.0.0.0:5000",
    check=("edge.placeholder:9000",),
    pages="pages.placeholder:9001",
    prefix="/prefix.placeholder",
    mlflow="mlflow.placeholder:50001",
    mlflow_host="mlflow-host.placeholder",
    trusted_hops=8,
)
OWN_ENVOY: Final = [
    name
    for name in TOPOLOGIES
    if values_of(name).get("gateway", {}).get("mode", "envoy") == "envoy"
]
with_envoy = pytest.mark.parametrize("topology", OWN_ENVOY)


def normal(text: str) -> Any:
    """Read it back; that a number is 0 need not be said."""
    document = yaml.safe_load(text)
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    hops = manager["typed_config"].pop("xff_num_trusted_hops", 0)
    return document, hops


def test_the_file_in_the_chart_is_what_the_code_builds() -> None:
    checked_in = CHART / "files" / "envoy.yaml"
    assert checked_in.read_text() == build(PLACEHOLDERS), "run `make envoy-config`"


@with_envoy
def test_what_is_rendered_is_what_the_code_builds_for_these_settings(topology: str) -> None:
    release = rendered(topology)
    settings = Settings.load(opened(release.environment("edge")))
    edge = release.one("Deployment", "-edge")["metadata"]["name"]
    options = EnvoyOptions.of(
        settings, listen="0.0.0.0:5000", check=(f"{edge}:9000",), pages=f"{edge}:9001"
    )
    text = release.one("ConfigMap", "-envoy")["data"]["envoy.yaml"]
    assert normal(text) == normal(build(options))
    assert "placeholder" not in text


@pytest.mark.parametrize(
    ("topology", "version"),
    [
        *((topology, "1.40.0") for topology in OWN_ENVOY),
        *(("production", old) for old in envoy.OLDER),
    ],
)
def test_envoy_takes_it(topology: str, version: str, tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    config.write_text(rendered(topology).one("ConfigMap", "-envoy")["data"]["envoy.yaml"])
    done = envoy.validate(envoy.ALL[version], config)
    assert done.returncode == 0, done.stderr


@with_envoy
def test_no_route_avoids_the_check_and_no_admin_port_is_public(topology: str) -> None:
    document = rendered(topology).envoy_config()
    text = yaml.safe_dump(document)
    for word in ("failure_mode_allow", "typed_per_filter_config", "direct_response", "disabled"):
        assert word not in text
    assert document["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    (listener,) = document["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    *pages, everything = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert [set(each["match"]) for each in pages] == [{"path"}] * 5
    assert {each["route"]["cluster"] for each in pages} == {"pages"}
    assert everything["match"] == {"prefix": "/"}
    names = [each["name"] for each in manager["http_filters"]]
    assert names.index("envoy.filters.http.ext_authz") == len(names) - 2


@with_envoy
def test_only_the_listener_is_exposed(topology: str) -> None:
    release = rendered(topology)
    ports = [each["containerPort"] for each in release.container("envoy")["ports"]]
    assert ports == [5000]
    services = [
        each
        for each in release.all("Service")
        if each["spec"]["selector"]["app.kubernetes.io/component"] == "envoy"
    ]
    assert [port["targetPort"] for each in services for port in each["spec"]["ports"]] == ["http"]


def test_each_edge_is_an_address_of_its_own() -> None:
    """Envoy keeps one connection for each address: behind one they would share no load."""
    release = rendered("gitlab")
    assert release.one("Service", "-edge")["spec"]["clusterIP"] == "None"


def test_a_change_of_the_configuration_reaches_the_pods() -> None:
    def checksum(release: Release) -> str:
        template = release.one("Deployment", "-envoy")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    values = values_of("gitlab")
    assert checksum(render(values)) == checksum(render(values))
    assert checksum(render(values)) != checksum(render({**values, "trustedHops": 3}))
