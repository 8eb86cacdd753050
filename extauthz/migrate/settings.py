"""What a migration works on: the settings of the deployment, as far as they matter here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pydantic import SecretStr

from extauthz.edge.environment import read_env_file, without_empty
from extauthz.edge.settings import Settings as Deployment
from extauthz.edge.settings import SettingsError

# Stands where no provider is named, because a file tells the ids; never resolves (RFC 6761).
_NOBODY: Final = "https://gitlab.invalid"
_NO_TOKEN: Final = SecretStr("")
_NAMES: Final = (
    "ALLOW_INSECURE_HTTP",
    "GITLAB_SERVICE_TOKEN",
    "GITLAB_SERVICE_TOKEN_FILE",
    "INSTANCE_ID",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_BACKEND_STORE_URI",
    "PROJECT_TAG",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The database, the artifacts, and whom to ask about projects.

    `gitlab_url` is empty where only a file tells the ids; with SharingHub, it names the GitLab
    behind it. `instance` is empty if the settings name no provider.
    """

    database: str = field(repr=False)
    artifacts: str
    tag: str
    gitlab_url: str = ""
    token: SecretStr = _NO_TOKEN
    instance: str = ""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, *, env_file: Path | None = None) -> Self:
        """Read the environment over the file; raises SettingsError."""
        given = {**without_empty(read_env_file(env_file)), **without_empty(environ)}
        if given.get("MLFLOW_REGISTRY_STORE_URI", "") not in (
            "",
            given.get("MLFLOW_BACKEND_STORE_URI"),
        ):
            raise SettingsError(
                "Experiments and models are moved together: unset MLFLOW_REGISTRY_STORE_URI, which "
                "names a database for the models alone"
            )
        hub, gitlab = given.get("SHARINGHUB_URL", ""), given.get("GITLAB_URL", "")
        common = {name: given[name] for name in _NAMES if name in given}
        deployment = Deployment.load(
            common | ({"SHARINGHUB_URL": hub} if hub else {"GITLAB_URL": gitlab or _NOBODY})
        )
        asked = Deployment.load(common | {"GITLAB_URL": gitlab or _NOBODY})
        if gitlab and asked.insecure_urls() and not asked.allow_insecure_http:
            raise SettingsError(
                f"GITLAB_URL is plain http ({gitlab}): the token could be read on the way. "
                "Use https, or set ALLOW_INSECURE_HTTP=true"
            )
        return cls(
            database=deployment.mlflow_backend_store_uri,
            artifacts=deployment.mlflow_artifacts_destination,
            tag=deployment.project_tag,
            gitlab_url=asked.gitlab_url if gitlab else "",
            token=asked.gitlab_service_token,
            instance=deployment.instance if hub or gitlab else deployment.instance_id,
        )
