"""Projects: which one a path means, as a file says."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from extauthz.edge.settings import SettingsError


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and the path that it has now, as far as that is known."""

    id: int
    path: str


class Directory(Protocol):
    """Knows which project a path means, or meant before it moved."""

    def projects(self, paths: Iterable[str]) -> Mapping[str, Project]:
        """Return the projects of those of the paths that mean one; raises Failed."""


class Listed:
    """What a file lists: `path,id` lines, or JSON: an object, or a list of objects with the two.

    GitLab ignores the case of paths, and so does this.
    """

    def __init__(self, file: Path) -> None:
        """Read it; raises SettingsError."""
        self._ids: dict[str, int] = {}
        for path, number in _entries(file):
            known = self._ids.setdefault(path.lower(), number)
            if known != number:
                raise SettingsError(f"{file}: {path} is listed as {known} and as {number}")

    def projects(self, paths: Iterable[str]) -> Mapping[str, Project]:
        """Return the listed ones."""
        found = {path: self._ids.get(path.lower()) for path in paths}
        return {path: Project(number, path) for path, number in found.items() if number}


def _entries(file: Path) -> list[tuple[str, int]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        rows = _json(text) if text.lstrip()[:1] in ("{", "[") else _csv(text)
        return [(path.strip().strip("/"), _id(number)) for path, number in rows]
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{file} is neither lines of `path,id` nor JSON of the same ({error})"
        ) from None


def _json(text: str) -> list[tuple[str, Any]]:
    content = json.loads(text)
    if isinstance(content, dict):
        return list(content.items())
    return [(entry["path"], entry["id"]) for entry in content]


def _csv(text: str) -> list[tuple[str, Any]]:
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].startswith("#")]
    if rows and [cell.strip().lower() for cell in rows[0]] == ["path", "id"]:
        rows = rows[1:]
    return [(path, number) for path, number in rows]


def _id(number: object) -> int:
    value = int(number) if isinstance(number, str) else number
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{number} is no id of a project")
    return value
