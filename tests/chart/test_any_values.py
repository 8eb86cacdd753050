"""Whatever the values: the chart renders something that is safe, or says what is wrong."""

import copy
import json
import re
from typing import Any, Final

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scripts.chart_readme import Value
from tests.chart.chart import RefusedError, Release, render
from tests.chart.test_values import BASES, VALUES, sample

SCHEMA: Final = "values don't meet the specifications of the schema(s)"
# What `fail` says, and not what a template does that stumbles.
OURS: Final = re.compile(r"execution error at \([^)]*\): [A-Z]?[a-zA-Z. ]+.*$")

# Words that YAML could take for something else, and that templates could stumble over.
words = st.sampled_from(
    [
        *("", "a", "true", "null", "1", "1e3", "0x10", "~", "-", "no", "a: b", "{{ .Values }}"),
        *("a\nb", '"', "'", "#", "*", "&a", "%", "@", "\\", "https://", "https://[::1]:5/x"),
        *("http://localhost:8080", "https://a.example.com/b/", "s3://a", "redis://:p@h", "/a"),
        *("postgresql://a@b/c", "http://mlflow.ml.svc:5000", "50%", "10Gi", "istio", "é"),
    ]
)
scalars = st.one_of(words, st.booleans(), st.none(), st.integers(-1, 2**40), st.floats())
things = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def some_values(draw: st.DrawFn) -> dict[str, Any]:
    """Take some that work, and change some of them, mostly into something that fits."""
    values = copy.deepcopy(BASES[draw(st.sampled_from(sorted(BASES)))])
    for value in draw(st.lists(st.sampled_from(VALUES), max_size=8)):
        _set(values, value, draw(st.one_of(_likely(value), _likely(value), things)))
    return values


def _likely(value: Value) -> st.SearchStrategy[Any]:
    alike = {bool: st.booleans(), int: st.integers(0, 10), str: words}
    return st.one_of(st.just(sample(value)), alike.get(type(value.default), st.just(value.default)))


def _set(values: dict[str, Any], value: Value, given: Any) -> None:
    inner: Any = values
    for name in value.path[:-1]:
        if not isinstance(inner.get(name), dict):
            inner[name] = {}
        inner = inner[name]
    inner[value.path[-1]] = given


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(values=some_values(), name=st.sampled_from(["rel", "123", "1e5", "true", "null", "r" * 53]))
def test_it_renders_or_says_what_is_wrong(values: dict[str, Any], name: str) -> None:
    try:
        release = render(_without_nan(values), name=name)
    except RefusedError as refused:
        message = str(refused)
        assert SCHEMA in message or OURS.search(message), message
    else:
        check(release)


def _without_nan(values: dict[str, Any]) -> Any:
    """JSON has no such numbers."""
    read: dict[str, Any] = json.loads(json.dumps(values), parse_constant=lambda _: 0.5)
    return read


def check(release: Release) -> None:
    for manifest in release.manifests:
        metadata = manifest["metadata"]
        for text in (metadata["name"], *metadata.get("labels", {}).values()):
            assert isinstance(text, str)
            assert text
    closed = [each["spec"]["extAuth"]["failOpen"] for each in release.all("SecurityPolicy")]
    custom = [each["spec"] for each in release.all("AuthorizationPolicy")]
    asking = [each for each in custom if each["action"] == "CUSTOM"]
    own = [each for each in release.all("ConfigMap") if "envoy.yaml" in each.get("data", {})]
    for config in own:
        text = config["data"]["envoy.yaml"]
        assert "placeholder" not in text
        assert "failure_mode_allow" not in text
        admin = yaml.safe_load(text)["admin"]["address"]["socket_address"]
        assert admin["address"] == "127.0.0.1"
    assert [*closed, *(each["rules"] == [] for each in asking), *(False for _ in own)] == [False]
    if any(each["metadata"]["name"].endswith("-mlflow") for each in release.all("Deployment")):
        assert "SECRET_KEY" not in release.environment("mlflow")
