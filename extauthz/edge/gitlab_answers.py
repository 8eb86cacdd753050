"""GitLab's answers, read strictly: what has not exactly the expected shape is no answer.

GraphQL and REST describe the same things in different words; here both become ours.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final
from urllib.parse import urljoin

from extauthz.edge.outage import Outage
from extauthz.edge.provider import Project, Reach, User, Visibility

_GLOBAL_ID: Final = re.compile(r"gid://gitlab/(\w+)/([1-9][0-9]{0,18})")


def unreadable() -> Outage:
    """Return the error for an answer that says something else than was asked."""
    return Outage("GitLab gave an answer that could not be understood.")


@dataclass(frozen=True, slots=True)
class Page:
    """A GraphQL answer.

    `user` is None when nobody is proven. `sound` is False when something could not be resolved, so
    that a null means "unknown" and not "nothing".
    """

    user: User | None
    data: dict[str, Any]
    sound: bool


def page_of(body: object) -> Page:
    """Read a GraphQL response body."""
    match body:
        case {"data": dict(data), **rest}:
            sound = not rest.get("errors")
        case {"errors": [_, *_]}:
            data, sound = {}, False
        case _:
            raise unreadable()
    return Page(_caller(data.get("currentUser")), data, sound)


def graphql_project(node: object) -> Project:
    """Read a GraphQL `Project`."""
    match node:
        case {
            "id": str(gid),
            "fullPath": str(path),
            "topics": list(topics),
            "archived": bool(archived),
            "visibility": str(visibility),
            "maxAccessLevel": {"integerValue": int(level)},
        }:
            return Project(
                id=_number(gid, of="Project"),
                path=path,
                level=_whole(level, least=0),
                topics=_topics(topics),
                archived=archived,
                visibility=_visibility(visibility),
            )
    raise unreadable()


def graphql_projects(data: dict[str, Any]) -> list[Project]:
    """Read the nodes of a GraphQL `projects` connection."""
    match data.get("projects"):
        case {"nodes": list(nodes)}:
            return [graphql_project(node) for node in nodes]
    raise unreadable()


def rest_project(body: object) -> Project:
    """Read a REST project; its level is the most its `permissions` know, shares not included."""
    match body:
        case {
            "id": int(number),
            "path_with_namespace": str(path),
            "topics": list(topics),
            "archived": bool(archived),
            "visibility": str(visibility),
            **rest,
        }:
            return Project(
                id=_whole(number, least=1),
                path=path,
                level=_known_level(rest.get("permissions")),
                topics=_topics(topics),
                archived=archived,
                visibility=_visibility(visibility),
            )
    raise unreadable()


def rest_user(body: object) -> User:
    """Read the answer of GET /user."""
    match body:
        case {"id": int(number), "username": str(name)}:
            return _user(_whole(number, least=1), name)
    raise unreadable()


def rest_level(body: object) -> int:
    """Read the level of a REST member."""
    match body:
        case {"access_level": int(level)}:
            return _whole(level, least=0)
    raise unreadable()


def user_number(user: User) -> str:
    """Return GitLab's number of a user, as its REST paths want it."""
    return user.subject.removeprefix("gitlab:")


def moved_to(asked: str, location: str) -> int:
    """Return the id a moved project's redirect leads to, on the same GitLab and nowhere else."""
    base = re.escape(asked.rpartition("/")[0])
    found = re.fullmatch(rf"{base}/([1-9][0-9]{{0,18}})", urljoin(asked, location))
    if found is None:
        raise unreadable()
    return int(found[1])


def personal_reach(body: object) -> Reach:
    """Read the answer of GET /personal_access_tokens/self: it ends at midnight UTC of a date."""
    match body:
        case {"scopes": list(scopes), "expires_at": str(day)}:
            return Reach("api" in scopes, _midnight(day))
        case {"scopes": list(scopes), "expires_at": None}:
            return Reach("api" in scopes)
    raise unreadable()


def oauth_reach(body: object, *, now: float) -> Reach:
    """Read the answer of GET /oauth/token/info, which counts the seconds left."""
    match body:
        case {"scope": list(scopes), "expires_in": int(seconds)}:
            return Reach("api" in scopes, now + seconds)
        case {"scope": list(scopes), "expires_in": None}:
            return Reach("api" in scopes)
    raise unreadable()


def _caller(node: object) -> User | None:
    match node:
        case {"id": str(gid), "username": str(name)}:
            return _user(_number(gid, of="User"), name)
        case None:
            return None
    raise unreadable()


def _user(number: int, name: str) -> User:
    return User(subject=f"gitlab:{number}", name=name)


def _whole(number: int, *, least: int) -> int:
    """Refuse what is too small, and JSON's booleans, which are numbers to Python."""
    if isinstance(number, bool) or number < least:
        raise unreadable()
    return number


def _topics(topics: Iterable[object]) -> frozenset[str]:
    return frozenset(topic for topic in topics if isinstance(topic, str))


def _visibility(name: str) -> Visibility:
    try:
        return Visibility(name)
    except ValueError:
        raise unreadable() from None


def _known_level(permissions: object) -> int:
    """Return the higher of the two levels; a caller who is no member has none of them."""
    match permissions:
        case {"project_access": direct, "group_access": inherited}:
            return max(rest_level(access) if access else 0 for access in (direct, inherited))
    return 0


def _number(gid: str, *, of: str) -> int:
    """Return the number in a global id of this kind of object: each kind has its own numbers."""
    found = _GLOBAL_ID.fullmatch(gid)
    if found is None or found[1] != of:
        raise unreadable()
    return int(found[2])


def _midnight(day: str) -> float:
    try:
        return datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()
    except ValueError:
        raise unreadable() from None
