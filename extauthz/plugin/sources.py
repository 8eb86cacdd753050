"""Where a model version may come from: runs, models and artifacts of its own project."""

import re
from typing import Final
from urllib.parse import urlsplit

from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS

from extauthz.plugin import artifacts
from extauthz.plugin.refusals import Denied, Malformed, Refusal

# urlsplit drops some of these, so MLflow would read another source than was checked.
_DROPPED: Final = re.compile(r"^ |[\x00-\x1f\x7f\\]")
_RESOLVED_BY_MLFLOW: Final = frozenset({"runs", "models"})


def check_source(source: str, workspace: str) -> None:
    """Check the source or the storage location of a new model version; raises Refusal.

    `runs:/` and `models:/` are looked up in the project. Everything else but the artifact proxy
    would have the server read where the client likes (CVE-2023-1177, CVE-2024-3573).
    """
    if source in _PROMPT_SOURCE_PLACEHOLDERS:
        return
    if _DROPPED.search(source):
        raise Malformed("The source of a model version must not contain control characters")
    try:
        parts = urlsplit(source)
    except ValueError as error:
        raise Malformed("The source of a model version must be a URL") from error
    if parts.netloc or parts.query or parts.fragment:
        raise _elsewhere()
    if parts.scheme == "mlflow-artifacts":
        artifacts.check_stored(parts.path.removeprefix("/"), workspace)
    elif parts.scheme not in _RESOLVED_BY_MLFLOW:
        raise _elsewhere()


def _elsewhere() -> Refusal:
    return Denied("A model version must come from a run, a model or an artifact of this project")
