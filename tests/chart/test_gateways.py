"""Behind a mesh or Envoy Gateway there is one enforcement point, and nothing leads past it."""

from typing import Any, Final

import pytest

from extauthz.edge.envoy_http import _PAGE_PATHS, CHECKED
from tests.chart.chart import TOPOLOGIES, Release, render, rendered, values_of

MESHES: Final = [name for name in TOPOLOGIES if name.startswith(("istio", "envoy-gateway"))]
in_a_mesh = pytest.mark.parametrize("topology", MESHES)
PAGES: Final = list(_PAGE_PATHS)


def custom(release: Release) -> list[dict[str, Any]]:
    policies = release.all("AuthorizationPolicy")
    return [each for each in policies if each["spec"]["action"] == "CUSTOM"]


@in_a_mesh
def test_the_chart_runs_no_envoy_of_its_own(topology: str) -> None:
    release = rendered(topology)
    parts = [each["metadata"]["labels"] for each in release.manifests if "metadata" in each]
    assert "envoy" not in {each.get("app.kubernetes.io/component") for each in parts}
    assert not release.has("Ingress")


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_there_is_exactly_one_enforcement_point(topology: str) -> None:
    """A second check would see the path that the first one has rewritten."""
    release = rendered(topology)
    envoys = [
        each for each in release.all("Deployment") if each["metadata"]["name"].endswith("-envoy")
    ]
    assert len(envoys) + len(custom(release)) + len(release.all("SecurityPolicy")) == 1


def test_istios_gateway_asks_the_edge_about_everything_on_our_host() -> None:
    (policy,) = custom(rendered("istio"))
    assert policy["metadata"]["namespace"] == "istio-system"
    assert policy["spec"]["selector"] == {"matchLabels": {"istio": "ingressgateway"}}
    assert policy["spec"]["provider"] == {"name": "extauthz"}
    # Neither methods nor paths: what no rule matches is let through unchecked.
    hosts = ["mlflow.example.com", "mlflow.example.com:*"]
    assert policy["spec"]["rules"] == [{"to": [{"operation": {"hosts": hosts}}]}]


def test_a_gateway_that_serves_nothing_else_asks_about_everything() -> None:
    (policy,) = custom(rendered("istio-ambient"))
    assert policy["spec"]["rules"] == [{}]
    (target,) = policy["spec"]["targetRefs"]
    assert (target["kind"], target["name"]) == ("Gateway", "public")


def test_below_a_path_a_shared_gateway_asks_about_all_of_it() -> None:
    values = values_of("istio")
    release = render({**values, "publicUrl": "https://example.com/mlflow"})
    (policy,) = custom(release)
    (rule,) = policy["spec"]["rules"]
    assert rule["to"][0]["operation"]["paths"] == ["/mlflow", "/mlflow/*"]
    route = release.one("VirtualService")["spec"]["http"][-1]
    assert route["match"] == [{"uri": {"exact": "/mlflow"}}, {"uri": {"prefix": "/mlflow/"}}]


@pytest.mark.parametrize("topology", ["istio", "istio-ambient"])
def test_only_the_gateway_reaches_the_edge_and_only_they_reach_mlflow(topology: str) -> None:
    release = rendered(topology)
    gateway = {
        "istio": "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
        "istio-ambient": "cluster.local/ns/gateways/sa/public-istio",
    }[topology]
    edge = "cluster.local/ns/ns/sa/rel-mlflow-extauthz-edge"
    assert release.pod("edge")["serviceAccountName"] == edge.rpartition("/")[2]
    wanted = {"-edge": ([gateway], ["9000", "9001"]), "-mlflow": ([gateway, edge], ["5001"])}
    for part, (principals, ports) in wanted.items():
        policy = release.one("AuthorizationPolicy", part)["spec"]
        assert policy["action"] == "ALLOW"
        first = policy["rules"][0]
        assert first["from"] == [{"source": {"principals": principals}}]
        assert first["to"] == [{"operation": {"ports": ports}}]
        for other in policy["rules"][1:]:
            assert other == {
                "to": [{"operation": {"ports": ["9002" if part == "-edge" else "5002"]}}]
            }
        peer = release.one("PeerAuthentication", part)["spec"]
        assert peer["mtls"] == {"mode": "STRICT"}
        assert not set(peer.get("portLevelMtls", {})) & set(ports)


def test_the_virtual_service_leads_exactly_the_pages_to_the_edge() -> None:
    spec = rendered("istio").one("VirtualService")["spec"]
    pages, mlflow = spec["http"]
    assert pages["match"] == [{"uri": {"exact": path}} for path in PAGES]
    assert pages["route"][0]["destination"] == {
        "host": "rel-mlflow-extauthz-check",
        "port": {"number": 9001},
    }
    assert mlflow["match"] == [{"uri": {"prefix": "/"}}]
    assert mlflow["rewrite"] == {"authority": "rel-mlflow-extauthz-mlflow"}
    # A response that takes long is an artifact; removing headers here would come after the check.
    assert "timeout" not in mlflow
    assert "headers" not in mlflow


@pytest.mark.parametrize(
    ("topology", "prefix", "service", "host"),
    [
        ("envoy-gateway", "", "rel-mlflow-extauthz-mlflow", "rel-mlflow-extauthz-mlflow"),
        ("istio-ambient", "/mlflow", "rel-mlflow-extauthz-mlflow", "rel-mlflow-extauthz-mlflow"),
        ("envoy-gateway-external", "/mlflow", "mlflow", "mlflow.ml"),
    ],
)
def test_the_http_route_leads_exactly_the_pages_to_the_edge(
    topology: str, prefix: str, service: str, host: str
) -> None:
    pages, mlflow = rendered(topology).one("HTTPRoute")["spec"]["rules"]
    assert [match["path"] for match in pages["matches"]] == [
        {"type": "Exact", "value": f"{prefix}{path}"} for path in PAGES
    ]
    assert pages["backendRefs"] == [{"name": "rel-mlflow-extauthz-check", "port": 9001}]
    assert mlflow["matches"] == [{"path": {"type": "PathPrefix", "value": prefix or "/"}}]
    assert mlflow["filters"] == [{"type": "URLRewrite", "urlRewrite": {"hostname": host}}]
    assert mlflow["backendRefs"][0]["name"] == service
    assert mlflow["timeouts"] == {"request": "0s"}


@pytest.mark.parametrize("topology", ["envoy-gateway", "envoy-gateway-external"])
def test_envoy_gateway_asks_the_edge_and_fails_closed(topology: str) -> None:
    release = rendered(topology)
    (policy,) = release.all("SecurityPolicy")
    route = release.one("HTTPRoute")["metadata"]["name"]
    assert policy["spec"]["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}
    ]
    # These fields and no others: no package has its schema.
    assert policy["spec"]["extAuth"] == {
        "grpc": {"backendRefs": [{"name": "rel-mlflow-extauthz-check", "port": 9000}]},
        "failOpen": False,
        "statusOnError": 503,
        "timeout": "5s",
        "headersToExtAuth": list(CHECKED),
    }
    assert set(policy["spec"]) == {"targetRefs", "extAuth"}


def test_a_route_into_another_namespace_is_granted_there() -> None:
    release = rendered("envoy-gateway-external")
    backend = release.one("HTTPRoute")["spec"]["rules"][-1]["backendRefs"][0]
    grant = release.one("ReferenceGrant")
    assert backend["namespace"] == grant["metadata"]["namespace"] == "ml"
    assert grant["spec"]["to"] == [{"group": "", "kind": "Service", "name": "mlflow"}]
    assert backend["port"] == 5000


def test_notes_say_what_istio_has_to_know() -> None:
    notes = rendered("istio").notes
    assert "service: ns/rel-mlflow-extauthz-check.ns.svc.cluster.local" in notes
    assert "failOpen: false" in notes
    assert "timeout: 5s" in notes
    assert 'statusOnError: "503"' in notes
