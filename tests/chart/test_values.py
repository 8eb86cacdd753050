"""Every value is described, documented and used, and there are no others."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from scripts.chart_readme import Value, readme, values
from tests.chart.chart import CHART, RefusedError, texts, values_of

VALUES: Final = values((CHART / "values.yaml").read_text())
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())
# Where one change more is needed for a value to count.
BASES: Final[dict[str, dict[str, Any]]] = {
    "plain": values_of("gitlab"),
    "sharinghub": values_of("sharinghub"),
    "production": values_of("production"),
    "gateway-api": values_of("gateway-api"),
    "storage": values_of("storage"),
    "external": values_of("external-mlflow"),
    "istio": values_of("istio"),
    "ambient": values_of("istio-ambient"),
    "envoy-gateway": values_of("envoy-gateway-external"),
    "own-accounts": {
        **values_of("token-only"),
        "networkPolicy": {"enabled": True},
        **{part: {"serviceAccount": {"create": False}} for part in ("edge", "envoy", "mlflow")},
    },
    "several": {
        **values_of("sharinghub"),
        "postgresql": {"enabled": True},
        "sessionStore": {"existingSecret": "redis"},
        "mlflow": {"replicas": 2, "artifactsDestination": "s3://a"},
    },
}
BASES["istio or not"] = {
    **BASES["istio"],
    "istio": {"gateway": {"names": ["a/b"], "targetRef": "public"}},
    "httpRoute": {"parentRefs": [{"name": "public"}]},
}
BASES["not istio"] = {**BASES["istio or not"], "gateway": {"mode": "envoy"}}
RANDOM: Final = re.compile(
    r"^  (secret-key|grant-key|password|postgres-password): .*$", re.MULTILINE
)
CONTAINER: Final = {"name": "more", "image": "more"}
SAMPLES: Final[dict[str, Any]] = {
    "digest": "sha256:" + "0" * 64,
    "pullPolicy": "Always",
    "imagePullSecrets": [{"name": "other"}],
    "gitlabUrl": "https://other.example.com",
    "sharinghubUrl": "https://other.example.com",
    "publicUrl": "https://other.example.com",
    "mlflow.url": "http://other.ns",
    "endpointUrl": "https://other.example.com",
    "gitlabOauthScopes": "openid",
    "visitorAccess": "read",
    "frameAncestors": ["https://other.example.com"],
    "trustedHops": 5,
    "log.format": "console",
    "log.level": "error",
    "logLevel": "error",
    "sessionStore.url": "redis://other:7000",
    "gateway.mode": "istio",
    "service.type": "NodePort",
    "unclassified": "warn",
    "backendStoreUri": "postgresql://other/mlflow",
    "artifactsDestination": "gs://other",
    "accessMode": "ReadWriteMany",
    "size": "7Gi",
    "mlflowSharinghub": {"artifactsDestination": "gs://other"},
    "hosts": [{"host": "other.example.com"}],
    "hostnames": ["other.example.com"],
    "ingress.tls": [{"secretName": "other"}],
    "parentRefs": [{"name": "other"}],
    "istio.route": "httpRoute",
    "names": ["other/gateway"],
    "principals": ["other/ns/a/sa/b"],
    "interval": "7s",
    "edgeEgress": [{"ports": [{"port": 7}]}],
    "mlflowEgress": [{"ports": [{"port": 7}]}],
    "ingressFrom": [{"podSelector": {}}],
    "prometheusFrom": [{"podSelector": {}}],
    "extraEnv": [{"name": "MORE", "value": "1"}],
    "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraContainers": [CONTAINER],
    "extraInitContainers": [CONTAINER],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}],
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [
        {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "relabelings": [{"action": "labelmap", "regex": "a"}],
    "metricRelabelings": [{"action": "labelmap", "regex": "a"}],
    "existingSecret": "other",
}


def sample(value: Value) -> Any:
    """Return another value than the default."""
    for start in range(len(value.path)):
        if (name := ".".join(value.path[start:])) in SAMPLES:
            return SAMPLES[name]
    match value.default:
        case bool():
            return not value.default
        case int():
            return value.default + 1
        case str():
            return f"{value.default}other".lower()
        case _:
            return {"other": "other"}


def changed(base: dict[str, Any], value: Value) -> dict[str, Any]:
    result = copy.deepcopy(base)
    inner = result
    for name in value.path[:-1]:
        inner = inner.setdefault(name, {})
    inner[value.path[-1]] = sample(value)
    return result


def what_renders(given: dict[str, Any]) -> dict[str, str]:
    return {path: RANDOM.sub("", text) for path, text in texts(given).items()}


@pytest.fixture(scope="module")
def renders() -> dict[str, dict[str, str]]:
    return {name: what_renders(base) for name, base in BASES.items()}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.name)
def test_it_changes_what_is_rendered(value: Value, renders: dict[str, dict[str, str]]) -> None:
    said = []
    for name, base in BASES.items():
        try:
            if what_renders(changed(base, value)) != renders[name]:
                return
        except RefusedError as refused:
            said.append(str(refused))
    # Some need another value first, and say so.
    assert any(value.name in message for message in said)


def test_the_readme_lists_them_all() -> None:
    assert (CHART / "README.md").read_text() == readme(), "run `make chart-readme`"


def described(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Walk to what has no keys of its own, and see that nothing is open on the way."""
    known = {value.path for value in VALUES}
    if path in known or path == ("global",):
        yield path
        return
    assert schema["additionalProperties"] is False, path
    assert set(schema["required"]) == set(schema["properties"]) - {"global"}, path
    for name, inner in schema["properties"].items():
        yield from described(inner, (*path, name))


def test_the_schema_knows_the_same_values_and_is_closed() -> None:
    assert set(described(SCHEMA)) - {("global",)} == {value.path for value in VALUES}


def test_a_value_without_a_comment_would_be_noticed() -> None:
    with pytest.raises(ValueError, match=r"a\.b has no comment"):
        values("a:\n  b: 1\n")
