"""What GraphQL's fields resolve to, for one caller."""

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError

from extauthz.local.gitlab.caller import Caller
from extauthz.local.gitlab.connection import connection
from extauthz.local.gitlab.finder import Filter, find_projects
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import can_read, max_access_level
from extauthz.local.gitlab.records import Level, Project

_MOST_PATHS = 50
_PROJECT_GID = "gid://gitlab/Project/"
_ARCHIVED = {"ONLY": True, "EXCLUDE": False}
_LEVEL_NAMES = {level.value: level.name for level in Level}


class Query:
    """The root of a query. Method names and arguments are those of the schema."""

    def __init__(self, instance: Instance, caller: Caller) -> None:
        self._instance = instance
        self._caller = caller

    def root(self) -> dict[str, Any]:
        """Return the resolvers by field."""
        return {
            "currentUser": self._current_user(),
            "project": self._project_at,
            "projects": self._projects,
        }

    def _current_user(self) -> dict[str, Any] | None:
        user = self._caller.user
        if user is None:
            return None
        return {
            "id": f"gid://gitlab/User/{user.id}",
            "username": user.username,
            "name": user.name,
            "bot": user.bot,
        }

    def _project_at(self, _info: Any, **arguments: Any) -> dict[str, Any] | None:
        """Return a project by path in any letter case; unlike REST, GraphQL follows no moves."""
        project = self._instance.project_at(arguments["fullPath"])
        if project is None or not can_read(self._instance, self._caller.user, project):
            return None
        return self._project(project)

    def _projects(self, _info: Any, **arguments: Any) -> dict[str, Any]:
        wanted = _filter(arguments)
        found = find_projects(self._instance, self._caller.user, wanted)
        if arguments.get("sort") != "id_asc":
            found.reverse()
        return connection(found, arguments, self._project)

    def _project(self, project: Project) -> dict[str, Any]:
        return {
            "id": f"{_PROJECT_GID}{project.id}",
            "fullPath": project.path,
            "name": project.slug,
            "topics": sorted(project.topics),
            "archived": project.archived,
            "visibility": project.visibility.value,
            "maxAccessLevel": lambda _info: self._level(project),
        }

    def _level(self, project: Project) -> dict[str, Any]:
        """Return the caller's level; denied to every fine-grained token.

        No permission is declared for the type, and since the field cannot be null the project
        becomes null (GitLab: config/authz/graphql/authorization_todo.txt).
        """
        if self._caller.token is not None and self._caller.token.permissions is not None:
            raise GraphQLError(
                "Access denied: This operation doesn't support fine-grained personal access tokens."
            )
        level = max_access_level(self._instance, self._caller.user, project)
        return {"integerValue": level, "stringValue": _LEVEL_NAMES.get(level)}


def _filter(arguments: dict[str, Any]) -> Filter:
    paths = arguments.get("fullPaths") or ()
    if len(paths) > _MOST_PATHS:
        raise GraphQLError(f"You cannot provide more than {_MOST_PATHS} full_paths")
    level = arguments.get("minAccessLevel")
    ids = arguments.get("ids")
    return Filter(
        membership=bool(arguments.get("membership")),
        min_access_level=None if level is None else Level[level],
        topics=tuple(arguments.get("topics") or ()),
        archived=_ARCHIVED.get(arguments.get("archived", "")),
        ids=None if ids is None else _project_ids(ids),
        paths=paths,
    )


def _project_ids(gids: Sequence[str]) -> set[int]:
    for gid in gids:
        if not gid.startswith("gid://gitlab/"):
            raise GraphQLError(f'"{gid}" is not a valid GitLab ID.')
        if not gid.startswith(_PROJECT_GID) or not gid.removeprefix(_PROJECT_GID).isdecimal():
            raise GraphQLError(f'"{gid}" does not represent an instance of Project')
    return {int(gid.removeprefix(_PROJECT_GID)) for gid in gids}
