"""What cannot work is refused with a line that names the value."""

from typing import Any, Final

import pytest

from tests.chart.chart import RefusedError, Values, render, values_of

GITLAB: Final[dict[str, Any]] = {
    "gitlabUrl": "https://gitlab.example.com",
    "publicUrl": "https://mlflow.example.com",
}
SHARINGHUB: Final[dict[str, Any]] = {
    "sharinghubUrl": "https://hub.example.com",
    "publicUrl": "https://mlflow.example.com",
}
S3: Final = {"mlflow": {"artifactsDestination": "s3://bucket"}}


def said(values: Values) -> str:
    with pytest.raises(RefusedError) as refused:
        render(values)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Set one of gitlabUrl and sharinghubUrl"),
        ({**GITLAB, **SHARINGHUB}, "Set one of gitlabUrl and sharinghubUrl"),
        ({"gitlabUrl": "https://gitlab.example.com"}, "Set publicUrl"),
        ({**GITLAB, "gitlabUrl": "http://gitlab.example.com"}, "gitlabUrl is plain http"),
        ({**GITLAB, "publicUrl": "http://mlflow.example.com"}, "publicUrl is plain http"),
        ({**GITLAB, "publicUrl": "https://a.example.com/../b"}, "publicUrl must not have"),
        ({**SHARINGHUB, "gitlabMandatoryTopics": "a"}, "gitlabMandatoryTopics needs gitlabUrl"),
        ({**SHARINGHUB, "ciAudience": "a"}, "ciAudience needs gitlabUrl"),
        ({**GITLAB, "ciAudience": "https://gitlab.example.com"}, "ciAudience must not be"),
        ({**GITLAB, "gitlabOauthScopes": "api"}, "gitlabOauthScopes must contain openid"),
        ({**GITLAB, "edge": {"replicas": 2}}, "edge.replicas above 1 needs sessionStore.url"),
        (
            {**GITLAB, "edge": {"autoscaling": {"enabled": True}}},
            "edge.autoscaling.enabled needs sessionStore.url",
        ),
        (
            {**GITLAB, "sessionStore": {"url": "redis://a", "existingSecret": "b"}},
            "sessionStore.url or sessionStore.existingSecret, not both",
        ),
        (
            {**GITLAB, "envoy": {"autoscaling": {"minReplicas": 9, "maxReplicas": 8}}},
            "envoy.autoscaling.minReplicas is above maxReplicas",
        ),
        (
            {**GITLAB, "edge": {"drainSeconds": 30}},
            "edge.terminationGracePeriodSeconds must be above edge.drainSeconds",
        ),
        ({**GITLAB, "mlflow": {"replicas": 2}}, "mlflow.replicas above 1 needs postgresql.enabled"),
        (
            {**GITLAB, "mlflow": {"replicas": 2}, "postgresql": {"enabled": True}},
            "mlflow.replicas above 1 needs an mlflow.artifactsDestination",
        ),
        (
            {**GITLAB, **S3, "mlflowSharinghub": {"artifactsDestination": "s3://other"}},
            "mlflow.artifactsDestination and mlflowSharinghub.artifactsDestination differ",
        ),
        (
            {
                **GITLAB,
                "mlflow": {"backendStoreUriSecret": True},
                "mlflowSharinghub": {"backendStoreUriSecret": False},
            },
            "mlflow.backendStoreUriSecret and mlflowSharinghub.backendStoreUriSecret differ",
        ),
        (
            {
                **GITLAB,
                "postgresql": {"enabled": True},
                "mlflowSharinghub": {"backendStoreUriSecret": True},
            },
            "Set one of postgresql.enabled and mlflow.backendStoreUriSecret",
        ),
        (
            {**GITLAB, "mlflow": {"backendStoreUri": "postgresql://u:secret@db/mlflow"}},
            "mlflow.backendStoreUri holds a password",
        ),
        ({**GITLAB, "s3": {"enabled": True}}, "s3.enabled needs mlflow.artifactsDestination"),
        ({**GITLAB, "mlflow": {"enabled": False}}, "mlflow.enabled=false needs mlflow.url"),
        ({**GITLAB, "mlflow": {"url": "http://a"}}, "set mlflow.enabled=false"),
        (
            {
                **GITLAB,
                "mlflow": {"enabled": False, "url": "http://a"},
                "postgresql": {"enabled": True},
            },
            "postgresql.enabled needs mlflow.enabled",
        ),
        ({**GITLAB, "ingress": {"enabled": True}}, "ingress.enabled needs ingress.hosts"),
        (
            {
                **GITLAB,
                "ingress": {"enabled": True, "hosts": [{"host": "a"}]},
                "gateway": {"mode": "istio"},
            },
            "ingress.enabled leads to the chart's own Envoy, and gateway.mode is istio",
        ),
        ({**GITLAB, "httpRoute": {"enabled": True}}, "Set httpRoute.parentRefs"),
        ({**GITLAB, "gateway": {"mode": "envoyGateway"}}, "Set httpRoute.parentRefs"),
        ({**GITLAB, "gateway": {"mode": "istio"}}, "Set istio.gateway.names"),
        (
            {**GITLAB, "gateway": {"mode": "istio"}, "istio": {"route": "none", "ambient": True}},
            "istio.ambient needs istio.gateway.targetRef",
        ),
        (
            {
                **GITLAB,
                "gateway": {"mode": "istio"},
                "istio": {"route": "none", "gateway": {"principals": []}},
            },
            "Set istio.gateway.principals",
        ),
        (
            {
                **values_of("envoy-gateway"),
                "mlflow": {"enabled": False, "url": "http://mlflow.example.com"},
            },
            "mlflow.url must name a Service",
        ),
    ],
)
def test_it_says_what_to_set(values: Values, message: str) -> None:
    assert message in said(values)


@pytest.mark.parametrize(
    "values",
    [
        {**GITLAB, "gitlab_url": "https://gitlab.example.com"},
        {**GITLAB, "edge": {"replica": 2}},
        {**GITLAB, "gitlabUrl": "https://user@gitlab.example.com"},
        {**GITLAB, "trustedHops": 9},
        {**GITLAB, "mlflow": {"url": "https://mlflow.example.com"}},
        {**GITLAB, "mlflowSharinghub": {"somethingElse": True}},
        {**GITLAB, "frameAncestors": ["https://hub.example.com/page"]},
        {**GITLAB, "postgresql": {"auth": {"username": 'a"; DROP DATABASE b; --'}}},
        {**GITLAB, "gitlabMandatoryTopics": "a,,b"},
        {**GITLAB, "istio": {"provider": "with_underscore"}},
    ],
)
def test_the_schema_refuses_what_is_misspelt_or_malformed(values: Values) -> None:
    assert "values don't meet the specifications of the schema" in said(values)


def test_the_same_value_under_both_names_is_fine() -> None:
    alias = {"mlflowSharinghub": {"artifactsDestination": "s3://bucket"}}
    release = render({**GITLAB, **S3, **alias})
    assert release.environment("mlflow")["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://bucket"


@pytest.mark.parametrize(
    "login", [{"gitlab": {"login": False}}, {"sessionStore": {"url": "redis://r"}}]
)
def test_several_edges_are_fine_where_they_share_sessions_or_nobody_signs_in(login: Values) -> None:
    assert render({**GITLAB, **login, "edge": {"replicas": 3}}).has("PodDisruptionBudget")
