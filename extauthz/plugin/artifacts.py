"""Artifact paths: only the canonical form of a path inside the project is served.

MLflow decodes a path once more after its routing did, and joins it to its storage root, so what
has a second reading is refused before it gets there (CVE-2023-6909, CVE-2024-3848 and others).
"""

import re
from typing import Final
from urllib.parse import unquote

from extauthz.plugin.refusals import Denied, Malformed, Missing

_ODD: Final = re.compile(r"[\x00-\x1f\x7f\\#\ud800-\udfff]")
# MLflow parses a path as a URL, which drops leading spaces and lowers the case of a scheme.
_ODD_START: Final = re.compile(r"\s|(?:file|[A-Za-z]):", re.IGNORECASE)
# As clients may name them; MLflow's own ids are `tr-` or nothing, and 32 digits.
TRACE_ID: Final = "[0-9A-Za-z][0-9A-Za-z_-]{0,49}"
_ROOT: Final = re.compile(
    rf"[1-9][0-9]*/(?:[0-9a-f]{{32}}|models/m-[0-9a-f]{{32}}|traces/{TRACE_ID})/artifacts(?:/|$)"
)
_WORKSPACES: Final = "workspaces/"
# In bytes: what Linux takes as a name, and half of what it takes as a path.
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 2048


def check_within(path: str) -> None:
    """Check a path below the artifacts of a run or a model; raises Malformed."""
    if (
        unquote(path) != path
        or _ODD.search(path)
        or _ODD_START.match(path)
        or any(segment in ("", ".", "..") for segment in path.split("/"))
    ):
        raise Malformed("The artifact path is not in its canonical form")
    names = path.encode().split(b"/")
    if len(path.encode()) > _LONGEST_PATH or max(map(len, names)) > _LONGEST_NAME:
        raise Malformed(
            f"An artifact path has at most {_LONGEST_PATH} bytes, "
            f"and each name in it at most {_LONGEST_NAME}"
        )


def check_stored(path: str, workspace: str) -> None:
    """Check a path below the storage root, as clients of the artifact proxy send it.

    It must be at or below `<experiment>/<run>/artifacts`, or the same of `models/<model>` or
    `traces/<trace>`, so that nothing at the level of an experiment or above is listed or deleted.
    Raises Malformed, Missing for another project's, Denied for the rest.
    """
    check_within(path)
    inside = _inside(path, workspace)
    if inside.startswith(_WORKSPACES):
        raise Missing("There is no such artifact in this project")
    root = _ROOT.match(inside)
    if root is None:
        raise Denied("Only the artifacts of a run, a model or a trace are served")
    # Other endpoints take the rest by itself: what they would refuse must not be stored.
    if below := inside[root.end() :]:
        check_within(below)


def check_file(path: str, workspace: str) -> None:
    """Check the path of one file: as check_stored, and below such a root, not the root itself."""
    check_stored(path, workspace)
    if _ROOT.fullmatch(_inside(path, workspace)):
        raise Malformed("Name a file below the artifacts of a run, a model or a trace")


def _inside(path: str, workspace: str) -> str:
    return path.removeprefix(f"{_WORKSPACES}{workspace}/")
