"""Scope: which project a URL speaks of, and the path MLflow will see.

One parse yields both, and the edge has Envoy forward exactly that path.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from extauthz.edge.refusals import BadRequest, NotFound
from extauthz.edge.routes import ARTIFACT_ROOTS, is_mlflow

LONGEST_PATH: Final = 8192
_MARK: Final = "/tracking"
# Exactly these, so that a group named `auth` has its projects.
_PAGE: Final = re.compile(r"/auth/?(|(?<=/)(?:login|authorize|logout|p/[0-9]{1,19}))\Z")

# GitLab: a slug is letters, digits, `_`, `-` and `.`; a namespace component has at most 255
# characters and a project at most 20 ancestors.
_SLUG: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9_.-]{0,254}\Z")
_FEWEST_SLUGS: Final = 2
_MOST_SLUGS: Final = 21

# RFC 3986 path characters without `;` (which servers read as parameters), and the few that
# browsers leave unescaped.
_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,=:@/%\[\]|^]*\Z")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Slash, backslash, controls, and the unreserved characters that need no escape: each would let two
# readers of one path disagree.
_UNSAFE_ESCAPE: Final = re.compile(
    r"%(2f|5c|[01][0-9a-f]|7f|2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)", re.IGNORECASE
)
# `%`, `#`, `;` and `?`: read differently after one more decoding.
_FILE_ESCAPE: Final = re.compile(r"%(25|23|3b|3f)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tracking:
    """A path inside MLflow, in one project or (`project` is None) over all of the caller's."""

    project: str | None
    path: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the edge itself, asked for at the root or in a project.

    `name` is what follows `auth/`: empty, `login`, `authorize`, `logout` or `p/<id>`.
    """

    project: str | None
    name: str = ""

    @property
    def number(self) -> int | None:
        """The id of the project whose view a page leads to."""
        kind, slash, number = self.name.partition("/")
        return int(number) if slash and kind == "p" else None


@dataclass(frozen=True, slots=True)
class Redirect:
    """The same place under its one right name."""

    path: str


Scope = Tracking | Page | Redirect


def scope_of(path: str, *, prefix: str = "") -> Scope:
    """Parse the path of a URL, without its query.

    `prefix` is the path of the public URL; it is not part of the answer's path, but of a
    redirect's. Raises BadRequest for a path that two servers could read in two ways, NotFound for
    one that is neither a view nor a page.
    """
    _check(path)
    if prefix and path == prefix:
        return Redirect(f"{path}/")
    if not path.startswith(f"{prefix}/"):
        raise NotFound(f"MLflow is served under {prefix}/.")
    scope = _split(path.removeprefix(prefix))
    if isinstance(scope, Redirect):
        return Redirect(f"{prefix}{scope.path}")
    if isinstance(scope, Tracking) and not scope.path.startswith(ARTIFACT_ROOTS):
        _refuse(_FILE_ESCAPE, path)
    return scope


def _split(path: str) -> Scope:
    if is_mlflow(path):
        return Tracking(None, path)
    if page := _PAGE.match(path):
        return Page(None, page[1])
    for project, rest in _readings(path):
        if not rest:
            return Redirect(f"{path}/")
        if is_mlflow(rest):
            return Tracking(project, rest)
        if page := _PAGE.match(rest):
            return Page(project, page[1])
    raise NotFound(
        "There is nothing at this address. A project's MLflow is at /<group>/<project>/tracking/."
    )


def _readings(path: str) -> Iterator[tuple[str, str]]:
    """Yield project and rest for each `/tracking`, first to last.

    The first that makes sense wins: what a caller appends cannot move it, and groups or projects
    that are named `tracking` still work.
    """
    start = path.find(_MARK)
    # Nothing further right can be a project, and a path may hold the mark a thousand times.
    while start >= 0 and path.count("/", 0, start) <= _MOST_SLUGS:
        project, rest = path[1:start], path[start + len(_MARK) :]
        if (not rest or rest.startswith("/")) and is_project_path(project):
            yield project, rest
        start = path.find(_MARK, start + 1)


def is_project_path(path: str) -> bool:
    """Tell whether a text can be the full path of a GitLab project."""
    slugs = path.split("/")
    return (
        _FEWEST_SLUGS <= len(slugs) <= _MOST_SLUGS
        and all(_SLUG.match(slug) for slug in slugs)
        and not slugs[-1].endswith((".git", ".atom"))
    )


def _check(path: str) -> None:
    if not path.startswith("/"):
        raise BadRequest("The path must begin with a slash.")
    if len(path) > LONGEST_PATH:
        raise BadRequest(f"The path is longer than {LONGEST_PATH} characters.")
    if not _PLAIN.match(path):
        raise BadRequest("The path holds a character that must be escaped, or a semicolon.")
    if "//" in path or any(segment in (".", "..") for segment in path.split("/")):
        raise BadRequest("The path has an empty or a dot segment.")
    _refuse(_BAD_ESCAPE, path)
    _refuse(_UNSAFE_ESCAPE, path)
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is not UTF-8 once it is decoded.") from None


def _refuse(pattern: re.Pattern[str], path: str) -> None:
    if pattern.search(path):
        raise BadRequest("The path holds an escape that servers read in different ways.")
