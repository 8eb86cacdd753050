"""The examples for gateways that are there are what the chart makes."""

from typing import Any, Final

import pytest
import yaml

from extauthz.edge.envoy_http import OURS
from tests.chart.chart import ROOT, Manifest, render, values_of
from tests.chart.test_custom_resources import GROUPS, problems

EXAMPLES: Final = {"istio": "istio.yaml", "envoy-gateway": "envoy-gateway.yaml"}
# What belongs to the cluster and not to the chart.
OTHERS: Final = {"IstioOperator", "Gateway", "ClientTrafficPolicy"}
every_example = pytest.mark.parametrize("topology", EXAMPLES)


def example(topology: str) -> list[Manifest]:
    text = (ROOT / "envoy" / EXAMPLES[topology]).read_text()
    return [each for each in yaml.safe_load_all(text) if each]


def by_name(manifests: list[Manifest]) -> dict[tuple[str, str, str], Any]:
    return {
        (each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]
        for each in manifests
    }


@every_example
def test_they_hold_what_the_chart_makes(topology: str) -> None:
    shown = by_name([each for each in example(topology) if each["kind"] not in OTHERS])
    release = render(values_of(topology), name="mlflow-extauthz", namespace="mlflow")
    kinds = {kind for kind, _, _ in shown}
    assert shown == by_name([each for each in release.manifests if each["kind"] in kinds])


@every_example
def test_the_schemas_take_them(topology: str) -> None:
    known = [each for each in example(topology) if each["apiVersion"].startswith(GROUPS)]
    assert problems(known) == []


def test_istio_is_told_to_fail_closed_and_soon() -> None:
    (operator,) = [each for each in example("istio") if each["kind"] == "IstioOperator"]
    (provider,) = operator["spec"]["meshConfig"]["extensionProviders"]
    release = render(values_of("istio"), name="mlflow-extauthz", namespace="mlflow")
    (custom,) = [
        each for each in release.all("AuthorizationPolicy") if each["spec"]["action"] == "CUSTOM"
    ]
    assert provider["name"] == custom["spec"]["provider"]["name"]
    asked = provider["envoyExtAuthzGrpc"]
    assert (asked["failOpen"], asked["statusOnError"], asked["timeout"]) == (False, "503", "5s")
    # NOTES print the same.
    for name, value in asked.items():
        shown = "false" if value is False else f'"{value}"' if name == "statusOnError" else value
        assert f"{name}: {shown}\n" in release.notes


def test_envoy_gateway_strips_early_what_only_the_edge_may_set() -> None:
    (policy,) = [each for each in example("envoy-gateway") if each["kind"] == "ClientTrafficPolicy"]
    assert policy["spec"]["headers"]["earlyRequestHeaders"]["remove"] == list(OURS)
