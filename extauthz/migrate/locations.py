"""Locations: where the artifacts of an experiment are, and how the rows say so.

In the default workspace they are at `<root>/<experiment>`, elsewhere at
`<root>/workspaces/<workspace>/<experiment>`. The rows name the root as MLflow's artifact proxy, or
by its own address if the server once had it as its default artifact root.

What a row says is hostile: whoever could create experiments and traces could point them at the
files of others. So only what is exactly where MLflow puts it is taken for the experiment's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from mlflow.prompt.constants import _PROMPT_SOURCE_PLACEHOLDERS
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME, WORKSPACES_DIR_NAME

from extauthz.plugin.artifacts import check_within
from extauthz.plugin.refusals import Malformed

PROXY: Final = "mlflow-artifacts:/"
DEFAULT: Final[str] = DEFAULT_WORKSPACE_NAME
# MLflow writes this over the source of a version that is deleted.
_NOWHERE: Final = _PROMPT_SOURCE_PLACEHOLDERS | {"", "REDACTED-SOURCE-PATH"}
# Looked up in the project, by MLflow itself.
_LOOKED_UP: Final = ("runs:/", "models:/")


def folder_of(workspace: str) -> str:
    """Return where the experiments of a workspace are below the root; ends with a slash."""
    return "" if workspace == DEFAULT else f"{WORKSPACES_DIR_NAME}/{workspace}/"


def stored_of(workspace: str, experiment: int) -> str:
    """Return where the files of an experiment are below the root."""
    return f"{folder_of(workspace)}{experiment}"


@dataclass(frozen=True, slots=True)
class Roots:
    """The addresses of the root of the artifacts, each with a slash at its end."""

    uris: tuple[str, ...]

    @classmethod
    def of(cls, destination: str) -> Self:
        """Return the addresses of a folder or an S3 store."""
        if "://" in destination and not destination.startswith("file://"):
            return cls((PROXY, f"{destination.rstrip('/')}/"))
        folder = folder_at(destination)
        return cls((PROXY, f"{folder}/", f"file://{folder}/"))

    def below(self, uri: str) -> tuple[str, str] | None:
        """Return the root that an address begins with, and the rest; None if it is elsewhere."""
        for root in self.uris:
            if uri.startswith(root):
                return root, uri.removeprefix(root)
        return None

    def moved(
        self, uri: str | None, *, source: str, target: str, own: Callable[[int], bool]
    ) -> str | None:
        """Return what the source of a model version becomes in another workspace.

        It stays as it is where MLflow looks it up in the project, and where the artifact proxy will
        not find it there. `own` tells the experiments that move along. Raises ValueError for an
        address that would be read wherever it leads (CVE-2023-1177, CVE-2024-3573).
        """
        if uri is None or uri in _NOWHERE or uri.startswith(_LOOKED_UP):
            return uri
        found = self.below(uri)
        if found is None:
            raise ValueError(uri)
        root, rest = found
        inside = rest.removeprefix(folder_of(source))
        experiment = inside.partition("/")[0]
        if _is_plain(inside) and _is_id(experiment) and own(int(experiment)):
            return f"{PROXY}{folder_of(target)}{inside}"
        if root == PROXY:
            return uri
        raise ValueError(uri)


def folder_at(destination: str) -> Path:
    """Return the folder that a setting names."""
    path = urlsplit(destination).path if destination.startswith("file://") else destination
    return Path(path).absolute()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_plain(path: str) -> bool:
    try:
        check_within(path)
    except Malformed:
        return False
    return True
