"""A deployment to be examined, and what the doctor says of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extauthz.doctor.command import DoctorOptions, doctor
from tests.doctor.gateways import Gateway
from tests.gitlab import GitLab
from tests.servers.edge import INSTANCE, Edge
from tests.servers.mlflow import MLflow

HOST = "mlflow.example.org"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A report, taken apart: the statuses and the texts by the names of the findings."""

    code: int
    text: str
    findings: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def wrong(self) -> set[str]:
        """The names of what is wrong."""
        return self._with("fail")

    @property
    def untested(self) -> set[str]:
        """The names of what could not be tested."""
        return self._with("not_tested")

    def seen(self, name: str) -> str:
        """Return what was seen, and the remedy."""
        return f"{self.findings[name]['seen']} {self.findings[name]['remedy']}"

    def _with(self, status: str) -> set[str]:
        return {name for name, found in self.findings.items() if found["status"] == status}


@dataclass(frozen=True, slots=True)
class Deployment:
    """The parts behind an Envoy, and the certificate of its public URL."""

    gitlab: GitLab
    mlflow: MLflow
    edge: Edge
    url: str
    pem: Path
    settings: dict[str, str]
    token_file: Path
    service_token: str

    def diagnosis(
        self, through: Gateway, *, settings: dict[str, str] | None = None, **options: Any
    ) -> Diagnosis:
        """Examine it through an Envoy, with everything that can be known unless told otherwise."""
        given = {
            "url": self.url,
            "connect": f"127.0.0.1:{through.port}",
            "mlflow": f"http://127.0.0.1:{self.mlflow.port}",
            "envoy_admin": f"http://127.0.0.1:{through.admin}",
            "token_file": self.token_file,
            "project": "acme/vision",
            "project_of_others": "others/secret",
            "database": f"sqlite:///{self.mlflow.folder / 'mlflow.db'}",
            "env_file": self.token_file.with_name("none"),
        }
        environ = self.settings | {"GITLAB_SERVICE_TOKEN": self.service_token} | (settings or {})
        return diagnosis(DoctorOptions(**{**given, **options}, json=True), environ)


def diagnosis(options: DoctorOptions, environ: dict[str, str]) -> Diagnosis:
    """Run the doctor, and take its report apart."""
    text, code = doctor(options, environ)
    findings = {found.pop("name"): found for found in json.loads(text)["findings"]}
    return Diagnosis(code, text, findings)


def settings_of(gitlab: GitLab, url: str) -> dict[str, str]:
    """Return the settings of an edge where people sign in."""
    client_id, secret = gitlab.create_application([f"{url}/auth/authorize"])
    return {
        "GITLAB_URL": gitlab.url,
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
        "PUBLIC_URL": url,
        "INSTANCE_ID": INSTANCE,
    }
