"""What mlflow-sharinghub's deployment guide has one do works as it stands."""

from itertools import product
from typing import Any, Final

import pytest

from tests.chart.chart import Release, render

NAME: Final = "mlflow-sharinghub"
GITLAB: Final = {
    "gitlabUrl": "https://gitlab.example.com",
    "gitlabMandatoryTopics": "sharinghub:aimodel",
}
SHARINGHUB: Final = {
    "sharinghubUrl": "https://sharinghub.example.com",
    "sharinghubStacCollection": "ai-model",
    "sharinghubAuthDefaultToken": True,
}
FOLDER: Final[dict[str, Any]] = {}
POSTGRES: Final[dict[str, Any]] = {
    "postgresql": {"enabled": True, "auth": {"existingSecret": "mlflow-sharinghub-postgres"}}
}
EXISTING: Final[dict[str, Any]] = {"mlflowSharinghub": {"backendStoreUriSecret": True}}
S3: Final[dict[str, Any]] = {
    "mlflowSharinghub": {"artifactsDestination": "s3://bucket"},
    "s3": {"enabled": True, "endpointUrl": "https://s3.example.com"},
}
DEPLOY: Final[dict[str, Any]] = {
    "image": {
        "repository": "registry.example.com/mlflow-sharinghub",
        "pullPolicy": "IfNotPresent",
        "tag": "latest",
    },
    "imagePullSecrets": [{"name": "regcred"}],
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt-prod"},
        "hosts": [
            {
                "host": "mlflow.example.com",
                "paths": [{"path": "/", "pathType": "ImplementationSpecific"}],
            }
        ],
        "tls": [{"secretName": "mlflow-sharinghub-tls", "hosts": ["mlflow.example.com"]}],
    },
}
PROVIDERS: Final[dict[str, dict[str, Any]]] = {"gitlab": GITLAB, "sharinghub": SHARINGHUB}
DATABASES: Final[dict[str, dict[str, Any]]] = {
    "sqlite": FOLDER,
    "postgresql": POSTGRES,
    "existing": EXISTING,
}
FILES: Final[dict[str, dict[str, Any]]] = {"folder": FOLDER, "s3": S3}


def release(provider: str, database: str = "sqlite", files: str = "folder") -> Release:
    aliases = {
        **DATABASES[database].get("mlflowSharinghub", {}),
        **FILES[files].get("mlflowSharinghub", {}),
    }
    blocks = {**PROVIDERS[provider], **DATABASES[database], **FILES[files], **DEPLOY}
    return render({**blocks, "mlflowSharinghub": aliases}, name=NAME, namespace="sharinghub")


@pytest.mark.parametrize(
    ("provider", "database", "files"), list(product(PROVIDERS, DATABASES, FILES))
)
def test_each_provider_and_storage_makes_a_complete_release(
    provider: str, database: str, files: str
) -> None:
    made = release(provider, database, files)
    edge, mlflow = made.environment("edge"), made.environment("mlflow")
    assert edge["SECRET_KEY"] == "<mlflow-sharinghub/secret-key>"
    assert edge["PUBLIC_URL"] == "https://mlflow.example.com"
    wanted = {
        "sqlite": "sqlite:////home/mlflow/data/mlflow.db",
        "postgresql": "postgresql://mlflow@mlflow-sharinghub-mlflow-extauthz-postgresql:5432/mlflow",
        "existing": "<mlflow-sharinghub/backend-store-uri>",
    }
    assert mlflow["MLFLOW_BACKEND_STORE_URI"] == wanted[database]
    artifacts = {"folder": "/home/mlflow/data/mlartifacts", "s3": "s3://bucket"}
    assert mlflow["MLFLOW_ARTIFACTS_DESTINATION"] == artifacts[files]
    assert made.has("PersistentVolumeClaim") is (database == "sqlite" or files == "folder")
    assert made.has("StatefulSet") is (database == "postgresql")
    for part in ("edge", "mlflow"):
        assert made.container(part)["image"] == "registry.example.com/mlflow-sharinghub:latest"
        assert made.pod(part)["imagePullSecrets"] == [{"name": "regcred"}]


def test_the_application_at_gitlab_is_found() -> None:
    edge = release("gitlab").environment("edge")
    assert edge["GITLAB_OAUTH_CLIENT_ID"] == "<mlflow-sharinghub-gitlab/client-id>"
    assert edge["GITLAB_OAUTH_CLIENT_SECRET"] == "<mlflow-sharinghub-gitlab/client-secret>"
    assert edge["GITLAB_MANDATORY_TOPICS"] == "sharinghub:aimodel"


def test_behind_sharinghub_no_application_is_needed() -> None:
    edge = release("sharinghub").environment("edge")
    assert not [name for name in edge if name.startswith("GITLAB_")]
    assert edge["SHARINGHUB_AUTH_DEFAULT_TOKEN"] == "true"
    assert edge["SHARINGHUB_STAC_COLLECTION"] == "ai-model"


def test_postgresql_gets_both_passwords_from_the_secret() -> None:
    made = release("gitlab", "postgresql")
    assert made.environment("postgresql")["POSTGRES_PASSWORD"] == (
        "<mlflow-sharinghub-postgres/postgres-password>"
    )
    assert made.environment("postgresql")["MLFLOW_PASSWORD"] == (
        "<mlflow-sharinghub-postgres/password>"
    )
    assert made.environment("mlflow")["PGPASSWORD"] == "<mlflow-sharinghub-postgres/password>"
    secrets = [each["metadata"]["name"] for each in made.all("Secret")]
    assert "mlflow-sharinghub-postgres" not in secrets


def test_s3_gets_its_keys_from_the_secret() -> None:
    mlflow = release("sharinghub", files="s3").environment("mlflow")
    assert mlflow["AWS_ACCESS_KEY_ID"] == "<mlflow-sharinghub-s3/access-key-id>"
    assert mlflow["AWS_SECRET_ACCESS_KEY"] == "<mlflow-sharinghub-s3/secret-access-key>"
    assert mlflow["MLFLOW_S3_ENDPOINT_URL"] == "https://s3.example.com"


def test_the_ingress_leads_to_envoy_and_nowhere_else() -> None:
    made = release("gitlab")
    ingress = made.one("Ingress")["spec"]
    assert ingress["ingressClassName"] == "nginx"
    assert ingress["tls"] == DEPLOY["ingress"]["tls"]
    (rule,) = ingress["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    found = made.one("Service", service["name"])
    assert found["spec"]["selector"]["app.kubernetes.io/component"] == "envoy"
    assert found["spec"]["ports"][0]["port"] == service["port"]["number"]
    assert made.environment("edge")["TRUSTED_HOPS"] == "1"
