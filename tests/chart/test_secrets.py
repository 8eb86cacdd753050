"""Keys are made once, and whoever makes them by hand keeps them."""

from base64 import b64decode
from pathlib import Path
from typing import Any, Final

import pytest

from extauthz.keys import SHORTEST
from tests.chart.chart import HELMS, TOPOLOGIES, Release, render, template, values_of
from tests.chart.cluster import cluster, secret

# Helm 4 wants to check the manifests as well, for which a cluster has to describe itself.
ASKING: Final = {
    "3.17.2": ["--dry-run=server"],
    "4.1.4": ["--dry-run=server", "--disable-openapi-validation"],
}
every_helm = pytest.mark.parametrize("helm", HELMS)


def on(helm: str, folder: Path, *secrets: dict[str, Any]) -> Release:
    """Render for a cluster that has these secrets."""
    with cluster(folder, *secrets) as environ:
        return template(helm, *ASKING[helm], values=TOPOLOGIES["gitlab"], environ=environ)


def key(release: Release, name: str, key: str) -> str:
    return b64decode(release.one("Secret", name)["data"][key]).decode()


@every_helm
def test_an_upgrade_keeps_the_keys(helm: str, tmp_path: Path) -> None:
    ours = [
        secret("rel", release="rel", secret_key="s" * 64, backend_store_uri="added by hand"),
        secret("rel-grant", release="rel", grant_key="g" * 64),
    ]
    release = on(helm, tmp_path, *ours)
    assert key(release, "rel-grant", "grant-key") == "g" * 64
    (main,) = [each for each in release.all("Secret") if each["metadata"]["name"] == "rel"]
    # What others have added stays, since Helm leaves alone what it never wrote.
    assert set(main["data"]) == {"secret-key"}
    assert b64decode(main["data"]["secret-key"]).decode() == "s" * 64


@every_helm
def test_a_secret_made_by_hand_is_left_alone(helm: str, tmp_path: Path) -> None:
    """Helm refuses to install over what it does not own."""
    release = on(helm, tmp_path, secret("rel", secret_key="s" * 64))
    assert [each["metadata"]["name"] for each in release.all("Secret")] == ["rel-grant"]
    assert release.environment("edge")["SECRET_KEY"] == "<rel/secret-key>"


@every_helm
def test_a_first_installation_makes_keys_that_stay(helm: str, tmp_path: Path) -> None:
    release = on(helm, tmp_path)
    for name, entry in (("rel", "secret-key"), ("rel-grant", "grant-key")):
        (made,) = [each for each in release.all("Secret") if each["metadata"]["name"] == name]
        assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        text = b64decode(made["data"][entry]).decode()
        assert len(text) == 2 * SHORTEST
        assert len(set(text)) > 20


def test_two_installations_have_different_keys() -> None:
    one, other = (key(render(values_of("gitlab")), "-grant", "grant-key") for _ in range(2))
    assert one != other


def test_named_secrets_are_used_and_none_is_made() -> None:
    release = render(values_of("storage"))
    assert not release.has("Secret")
    edge, mlflow = release.environment("edge"), release.environment("mlflow")
    assert edge["SECRET_KEY"] == "<mlflow/secret-key>"
    assert edge["GRANT_KEY"] == mlflow["GRANT_KEY"] == "<mlflow/grant-key>"
    assert mlflow["MLFLOW_BACKEND_STORE_URI"] == "<mlflow/backend-store-uri>"


def test_the_url_of_redis_is_a_secret_too() -> None:
    release = render(values_of("production"))
    sessions = release.one("Secret", "-sessions")
    assert sessions["stringData"]["url"].startswith("rediss://:secret@")
    assert release.environment("edge")["SESSION_STORE_URL"] == "<rel-sessions/url>"
    others = [each for each in release.manifests if each is not sessions]
    assert ":secret@" not in str(others)


def test_notes_list_the_secrets_that_have_to_be_there() -> None:
    lines = [line.strip() for line in render(values_of("storage")).notes.splitlines()]
    assert "mlflow with secret-key, backend-store-uri, grant-key, client-id, client-secret" in lines
    assert "mlflow-s3 with access-key-id, secret-access-key" in lines
    lines = [line.strip() for line in render(values_of("production")).notes.splitlines()]
    assert "rel-gitlab with client-id, client-secret, service-token" in lines
    assert "database with password, postgres-password" in lines
    assert "have to be" not in render(values_of("sharinghub")).notes


@pytest.mark.parametrize("folder", ["/home/mlflow/data/files", "file:///home/mlflow/data/files"])
def test_files_in_a_folder_are_on_the_volume(folder: str) -> None:
    values = values_of("storage")
    del values["s3"]
    mlflow = {"backendStoreUriSecret": True, "artifactsDestination": folder}
    assert render({**values, "mlflow": mlflow}).has("PersistentVolumeClaim")


def test_data_outlives_the_release() -> None:
    claim = render(values_of("gitlab")).one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
