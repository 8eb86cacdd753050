"""What of MLflow is refused on purpose, and why: the other half of the endpoint table.

A route of a later MLflow that is in neither half is unknown; see `inventory`.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Family:
    """Endpoints that belong together: a pattern for their paths, and what callers are told."""

    paths: re.Pattern[str]
    why: str


def _family(pattern: str, why: str) -> Family:
    return Family(re.compile(pattern), why)


_TWIN: Final = "/(?:ajax-)?api"
FAMILIES: Final = (
    _family(
        rf"(?:/gateway/|{_TWIN}/[23]\.0/mlflow/gateway(?:/|-proxy\Z))",
        "the AI gateway would use secrets that all projects share",
    ),
    _family(
        rf"{_TWIN}/3\.0/(?:mlflow/)?(?:prompt-optimization/)?jobs(?:/|\Z)",
        "jobs would run for all projects at once",
    ),
    _family(
        rf"{_TWIN}/3\.0/mlflow/(?:\w+/)+invoke\Z|{_TWIN}/3\.0/mlflow/scorers/online-config\Z",
        "it would start a job of the server, which would run for all projects at once",
    ),
    _family(rf"{_TWIN}/3\.0/mlflow/assistant/", "the assistant acts on the server itself"),
    _family(rf"{_TWIN}/3\.0/mlflow/mcp-servers", "MCP servers belong to no project"),
    _family(
        rf"{_TWIN}/2\.0/mlflow/webhooks",
        "webhooks would tell of all projects, to any address",
    ),
    _family(
        rf"{_TWIN}/3\.0/mlflow/workspaces",
        "the projects of GitLab take the place of workspaces",
    ),
    _family(rf"{_TWIN}/3\.0/mlflow/demo/", "demo data belongs to no project"),
    _family(rf"{_TWIN}/2\.0/mlflow/runs/create-promptlab-run\Z", "promptlab needs the AI gateway"),
    _family(rf"{_TWIN}/3\.0/mlflow/ui-telemetry\Z", "nothing is sent to MLflow's makers"),
    _family(
        rf"{_TWIN}/2\.0/mlflow(?:/artifacts/presigned-\w+-url|-artifacts/presigned/)",
        "a presigned address could be used past the permissions",
    ),
    # Neither exists outside Databricks, and two paths that MLflow has misspelt.
    _family(
        rf"{_TWIN}/2\.0/mlflow/(?:unified-traces|get-online-trace-details)\Z"
        rf"|{_TWIN}/2\.0mlflow/",
        "this MLflow does not have it",
    ),
    _family(r"/build/", "the pages are at another address"),
    _family(r"/graphql\Z", "queries are posted"),
)
_UNKNOWN: Final = "it is not one that is known to be safe"


def why_refused(path: str) -> str | None:
    """Return why a path, as MLflow registers it, is refused on purpose."""
    return next((family.why for family in FAMILIES if family.paths.match(path)), None)


def told(path: str) -> str:
    """Return what to tell the caller of an endpoint that is not served."""
    return why_refused(path) or _UNKNOWN
