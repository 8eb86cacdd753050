"""The id_token of a CI job (GitLab: OpenID Connect ID tokens in CI/CD)."""

import secrets
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import max_access_level
from extauthz.local.gitlab.oauth.claims import direct_groups
from extauthz.local.gitlab.records import Level, Project, User

_SHA = "714a629c0b401fdce83e847fc9589983fc6f46bc"
_EARLIER = 5
_MOST_GROUPS = 200
Claims = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a project's own pipeline on its protected branch `main`."""

    project: Project
    user: User
    audience: str | list[str]
    timeout: int  # seconds; the token lives as long


def job_claims(instance: Instance, job: Job, issuer: str) -> Claims:
    """Return every claim that GitLab 18.9 and later write, ids as strings."""
    project, user = job.project, job.user
    now = int(time.time())
    host = issuer.partition("://")[2]
    groups = direct_groups(instance, user)
    return {
        **_project(instance, project),
        "user_id": str(user.id),
        "user_login": user.username,
        "user_email": user.email,
        "user_access_level": _level_name(max_access_level(instance, user, project)),
        **{f"job_{name}": value for name, value in _project(instance, project).items()},
        "pipeline_id": _number(),
        "pipeline_source": "push",
        "job_id": _number(),
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        **({"groups_direct": groups} if len(groups) <= _MOST_GROUPS else {}),
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": _SHA,
        "project_visibility": project.visibility.value,
        "ci_config_ref_uri": f"{host}/{project.path}//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": _SHA,
        "job_source": "push",
        "jti": str(uuid4()),
        "iss": issuer,
        "iat": now,
        "nbf": now - _EARLIER,
        "exp": now + job.timeout,
        "sub": f"project_path:{project.path}:ref_type:branch:ref:main",
        "aud": job.audience,
    }


def _project(instance: Instance, project: Project) -> Claims:
    groups = instance.lineage(project.namespace)
    owner = groups[0] if groups else instance.user(project.namespace)
    return {
        "namespace_id": str(owner.id),
        "namespace_path": project.namespace,
        "project_id": str(project.id),
        "project_path": project.path,
    }


def _level_name(level: int) -> str | None:
    """Return a level in words, None for no member and for a level without a name."""
    names = {known.value: known.name for known in Level if known is not Level.NO_ACCESS}
    return names[level].lower().replace("_", " ") if level in names else None


def _number() -> str:
    return str(1 + secrets.randbelow(1_000_000))
