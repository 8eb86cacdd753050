"""What operators expect of every chart: probes, limits, budgets, policies, restricted pods."""

from typing import Any, Final

import pytest

from tests.chart.chart import TOPOLOGIES, Manifest, Release, render, rendered, values_of

PODS: Final = ("Deployment", "StatefulSet", "Pod")
every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)


def pods(release: Release) -> list[Manifest]:
    bare = [each["spec"] for each in release.all("Pod")]
    kept = [*release.all("Deployment"), *release.all("StatefulSet")]
    return [*bare, *(each["spec"]["template"]["spec"] for each in kept)]


@every_topology
def test_every_object_is_labelled(topology: str) -> None:
    for manifest in rendered(topology).manifests:
        labels = manifest["metadata"].get("labels")
        if not labels:
            # The operator's own.
            assert manifest["metadata"]["name"] in ("tracking-more", "rel-text")
            continue
        assert {
            *("app.kubernetes.io/name", "app.kubernetes.io/instance", "helm.sh/chart"),
            *("app.kubernetes.io/version", "app.kubernetes.io/managed-by"),
            "app.kubernetes.io/component",
        } <= labels.keys()
        assert all(len(text) <= 63 for text in labels.values())


@every_topology
def test_selectors_find_their_pods_and_nobody_elses(topology: str) -> None:
    release = rendered(topology)
    workloads = [*release.all("Deployment"), *release.all("StatefulSet")]
    for workload in workloads:
        wanted = workload["spec"]["selector"]["matchLabels"].items()
        found = [
            each
            for each in workloads
            if wanted <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert found == [workload]


@every_topology
def test_pods_are_restricted(topology: str) -> None:
    """The restricted profile of Kubernetes' Pod Security Standards, and more."""
    for pod in pods(rendered(topology)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


@every_topology
def test_servers_are_probed(topology: str) -> None:
    release = rendered(topology)
    for workload in (*release.all("Deployment"), *release.all("StatefulSet")):
        container = workload["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]
    assert release.container("edge")["readinessProbe"]["grpc"] == {"port": 9000}


@every_topology
def test_pods_end_after_they_have_drained(topology: str) -> None:
    release = rendered(topology)
    edge = release.pod("edge")
    arguments = release.container("edge")["args"]
    drain = int(arguments[arguments.index("--drain-seconds") + 1])
    # Then it gives what is under way five more.
    assert edge["terminationGracePeriodSeconds"] > drain + 5


def policy(release: Release, part: str) -> Any:
    return release.one("NetworkPolicy", f"-{part}")["spec"]


def peers(rules: list[Manifest]) -> set[tuple[str, int]]:
    """Return who reaches which port: the component, the namespace, or everybody."""
    return {
        (_peer(peer), port["port"])
        for rule in rules
        for peer in (rule.get("from") or rule.get("to") or [{}])
        for port in rule["ports"]
    }


def _peer(peer: Manifest) -> str:
    labels = {
        **peer.get("namespaceSelector", {}).get("matchLabels", {}),
        **peer.get("podSelector", {}).get("matchLabels", {}),
    }
    names = ("kubernetes.io/metadata.name", "app.kubernetes.io/component")
    return next((labels[name] for name in names if name in labels), "everybody")


def test_exactly_the_flows_that_are_needed_are_open() -> None:
    values = values_of("production")
    del values["networkPolicy"]
    release = render({**values, "fullnameOverride": ""})
    assert peers(policy(release, "envoy")["ingress"]) == {("everybody", 5000)}
    assert peers(policy(release, "edge")["ingress"]) == {
        *(("envoy", 9000), ("envoy", 9001), ("monitoring", 9002)),
    }
    assert peers(policy(release, "mlflow")["ingress"]) == {
        *(("envoy", 5001), ("edge", 5001), ("monitoring", 5002)),
    }
    assert peers(policy(release, "postgresql")["ingress"]) == {("mlflow", 5432)}
    dns = ("everybody", 53)
    assert peers(policy(release, "envoy")["egress"]) == {
        *(dns, ("edge", 9000), ("edge", 9001), ("mlflow", 5001)),
    }
    # GitLab, and the Redis of these values.
    assert peers(policy(release, "edge")["egress"]) == {
        *(dns, ("mlflow", 5001), ("everybody", 443), ("everybody", 6380)),
    }
    assert peers(policy(release, "mlflow")["egress"]) == {
        *(dns, ("postgresql", 5432), ("everybody", 443)),
    }
    assert "egress" not in policy(release, "postgresql")
    for each in release.all("NetworkPolicy"):
        assert each["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("topology", "namespace"),
    [
        ("istio", "istio-system"),
        ("istio-ambient", "gateways"),
        ("envoy-gateway", "envoy-gateway-system"),
    ],
)
def test_in_a_mesh_the_gateways_namespace_takes_envoys_place(topology: str, namespace: str) -> None:
    release = rendered(topology)
    metrics = set() if topology == "istio-ambient" else {("monitoring", 9002)}
    # ztunnel's own port, behind which it keeps the policies of Istio.
    tunnel = {(namespace, 15008)} if topology == "istio-ambient" else set()
    assert peers(policy(release, "edge")["ingress"]) == {
        *((namespace, 9000), (namespace, 9001)),
        *metrics,
        *tunnel,
    }


def test_budgets_and_scaling_come_with_several_pods() -> None:
    one, many = rendered("token-only"), rendered("production")
    assert not one.has("PodDisruptionBudget")
    assert not one.has("HorizontalPodAutoscaler")
    assert len(many.all("PodDisruptionBudget")) == 2
    assert {
        each["spec"]["scaleTargetRef"]["name"] for each in many.all("HorizontalPodAutoscaler")
    } == {
        *("tracking-edge", "tracking-envoy"),
    }
    for name in ("-edge", "-envoy"):
        assert "replicas" not in many.one("Deployment", name)["spec"]


def test_constraints_on_spreading_get_the_pods_own_labels() -> None:
    release = rendered("production")
    (constraint,) = release.pod("edge")["topologySpreadConstraints"]
    selector = release.one("Deployment", "-edge")["spec"]["selector"]
    assert constraint["labelSelector"] == selector


def test_mlflow_on_a_volume_that_one_may_mount_is_replaced_and_not_doubled() -> None:
    assert rendered("gitlab").one("Deployment", "-mlflow")["spec"]["strategy"] == {
        "type": "Recreate"
    }
    assert "strategy" not in rendered("storage").one("Deployment", "-mlflow")["spec"]


@every_topology
def test_names_stay_short_enough(topology: str) -> None:
    longest = render(values_of(topology), name="r" * 53)
    for manifest in longest.manifests:
        assert len(manifest["metadata"]["name"]) <= 63


def test_prometheus_finds_edge_and_mlflow_once_each() -> None:
    release = rendered("production")
    monitor = release.one("ServiceMonitor")["spec"]
    (expression,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["endpoints"]
    found = [
        port["port"]
        for each in release.all("Service")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] in expression["values"]
        for port in each["spec"]["ports"]
        if port["name"] == endpoint["port"]
    ]
    assert sorted(found) == [5002, 9002]


def test_the_helm_test_goes_through_the_enforcement_point() -> None:
    pod = rendered("gitlab").one("Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (variable,) = pod["spec"]["containers"][0]["env"]
    assert variable["value"] == "http://rel-mlflow-extauthz:80"
    (variable,) = rendered("istio").one("Pod")["spec"]["containers"][0]["env"]
    assert variable["value"] == "https://mlflow.example.com"
