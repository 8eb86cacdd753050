"""CI jobs that come with GitLab's id_token, as the README has it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.caller import Caller
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.mlflow import MLflow
from tests.servers.stack import login_gateway
from tests.tenants import Project, Tenants, unique

_README: Final = (Path(__file__).parents[1] / "README.md").read_text()
_SECTION: Final = _README.partition("## From GitLab CI\n")[2].partition("\n## ")[0]
# The job of the README, and what its token is for.
TRAIN: Final = yaml.safe_load(_SECTION.partition("```yaml\n")[2].partition("```")[0])["train"]
AUDIENCE: Final = TRAIN["id_tokens"]["MLFLOW_TRACKING_TOKEN"]["aud"]


def service_token(gitlab: GitLab) -> str:
    """Return the token of somebody new who sees every project."""
    name = unique("auditor")
    gitlab.create_user(name, admin=True)
    return gitlab.token(name, scopes=("read_api",))


@contextmanager
def taking_jobs(
    folder: Path, gitlab: GitLab, server: MLflow, *, service: str, cached: float
) -> Iterator[Tenants]:
    """Run an edge that takes jobs, and believes GitLab for `cached` seconds, and an Envoy."""
    settings = {
        "CI_AUDIENCE": AUDIENCE,
        "GITLAB_SERVICE_TOKEN": service,
        "PROJECT_CACHE_TIMEOUT": str(cached),
    }
    with login_gateway(folder, gitlab, server, settings) as stack:
        yield Tenants(stack)


def minted(
    project: Project, user: str, /, *, audience: str | list[str] = AUDIENCE, **claims: Any
) -> str:
    """Return the token of a job that a user has started in a project."""
    return project.tenants.stack.gitlab.mint_id_token(project.path, user, audience, **claims)


def job(project: Project, level: int = DEVELOPER, /, **claims: Any) -> Caller:
    """Return a job of a project, started by somebody new with a level there."""
    return project.caller(minted(project, project.member(level), **claims))


def secret_of(job: Caller) -> str:
    """Return the token that a job sends."""
    return job.headers[0][1].removeprefix("Bearer ")
