"""One GitLab instance: its state, and every change that can be made to it."""

import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from extauthz.local.gitlab.oauth.state import OAuth
from extauthz.local.gitlab.records import (
    Group,
    Level,
    Project,
    State,
    Token,
    TokenKind,
    User,
    Visibility,
)


class Refused(Exception):  # noqa: N818 - named for what happened
    """A change that cannot be made; the text says why."""


class Instance:
    """Users, groups, projects, memberships, shares and tokens; `oauth` is about applications.

    Members and shares are kept by group id and by project id; an inner key is the id of the user
    or of the invited group, its value the level. Paths and user names are found in any letter case.
    """

    def __init__(self) -> None:
        self.version = (19, 2)
        self.users: dict[int, User] = {}
        self.groups: dict[int, Group] = {}
        self.projects: dict[int, Project] = {}
        self.tokens: dict[str, Token] = {}
        self.group_members: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self.project_members: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self.group_shares: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self.project_shares: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self.oauth = OAuth()
        self._user_ids: dict[str, int] = {}
        self._group_ids: dict[str, int] = {}
        self._project_ids: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        # Ids are never used again, also not after a project is deleted.
        self._last_project = 0

    def user(self, username: str) -> User:
        """Return a user by name; raises Refused."""
        return self.users[_known(self._user_ids, username, "user")]

    def group(self, path: str) -> Group:
        """Return a group by path; raises Refused."""
        return self.groups[_known(self._group_ids, path, "group")]

    def project(self, path: str) -> Project:
        """Return a project by its present path; raises Refused."""
        return self.projects[_known(self._project_ids, path, "project")]

    def project_at(self, path: str) -> Project | None:
        """Return the project at a path, not following moves."""
        return self.projects.get(self._project_ids.get(path.lower(), 0))

    def project_moved_from(self, path: str) -> Project | None:
        """Return the project that was at a path before it moved."""
        return self.projects.get(self._moved.get(path.lower(), 0))

    def lineage(self, path: str) -> list[Group]:
        """Return the group at a path and its ancestors, nearest first."""
        parts = path.lower().split("/")
        paths = ("/".join(parts[:end]) for end in range(len(parts), 0, -1))
        return [self.groups[self._group_ids[path]] for path in paths if path in self._group_ids]

    def set_version(self, version: str) -> None:
        """Be another release of GitLab, for instance "16.8"."""
        major, minor = version.split(".")
        self.version = (int(major), int(minor))

    def create_user(
        self,
        username: str,
        *,
        name: str = "",
        admin: bool = False,
        external: bool = False,
        state: State = State.ACTIVE,
        bot: bool = False,
    ) -> User:
        """Add a user, who owns the personal namespace of his name."""
        self._check_free(username)
        user = User(
            id=_next(self.users),
            username=username,
            name=name or username.capitalize(),
            state=state,
            admin=admin,
            external=external,
            bot=bot,
        )
        self.users[user.id] = user
        self._user_ids[username.lower()] = user.id
        return user

    def update_user(
        self,
        username: str,
        *,
        state: State | None = None,
        admin: bool | None = None,
        external: bool | None = None,
    ) -> User:
        """Change a user, for instance block him."""
        user = self.user(username)
        changed = replace(user, **_given(state=state, admin=admin, external=external))
        self.users[user.id] = changed
        return changed

    def create_group(self, path: str) -> Group:
        """Add a group and those above it that are missing."""
        parent, _, _ = path.rpartition("/")
        if parent and parent.lower() not in self._group_ids:
            self.create_group(parent)
        self._check_free(path)
        group = Group(id=_next(self.groups), path=path)
        self.groups[group.id] = group
        self._group_ids[path.lower()] = group.id
        return group

    def create_project(
        self,
        path: str,
        *,
        visibility: Visibility = Visibility.PRIVATE,
        topics: Iterable[str] = (),
        archived: bool = False,
        id: int | None = None,  # noqa: A002 - the record's own word
    ) -> Project:
        """Add a project in a user's namespace or in a group, made if it is missing."""
        namespace = path.rpartition("/")[0].lower()
        if not namespace:
            raise Refused(f"{path} has no namespace")
        if namespace not in self._user_ids and namespace not in self._group_ids:
            self.create_group(path.rpartition("/")[0])
        self._check_free(path)
        number = id or self._last_project + 1
        if number in self.projects:
            raise Refused(f"project id {number} is taken")
        self._last_project = max(self._last_project, number)
        project = Project(number, path, visibility, tuple(topics), archived)
        self.projects[number] = project
        self._project_ids[path.lower()] = number
        self._moved.pop(path.lower(), None)
        if namespace in self._user_ids:
            # GitLab writes a member row for the owner of a personal project.
            self.project_members[number][self._user_ids[namespace]] = Level.OWNER
        return project

    def update_project(
        self,
        path: str,
        *,
        visibility: Visibility | None = None,
        topics: tuple[str, ...] | None = None,
        archived: bool | None = None,
    ) -> Project:
        """Change a project, for instance archive it."""
        project = self.project(path)
        given = _given(visibility=visibility, topics=topics, archived=archived)
        self.projects[project.id] = replace(project, **given)
        return self.projects[project.id]

    def move_project(self, path: str, to: str) -> Project:
        """Give a project another path; the old one redirects until somebody takes it."""
        project = self.project(path)
        namespace = to.rpartition("/")[0].lower()
        if namespace not in self._user_ids and namespace not in self._group_ids:
            self.create_group(to.rpartition("/")[0])
        self._check_free(to)
        del self._project_ids[path.lower()]
        self._moved[path.lower()] = project.id
        self._moved.pop(to.lower(), None)
        self._project_ids[to.lower()] = project.id
        self.projects[project.id] = replace(project, path=to)
        return self.projects[project.id]

    def delete_project(self, path: str) -> None:
        """Remove a project."""
        project = self.project(path)
        del self._project_ids[path.lower()], self.projects[project.id]
        self.project_members.pop(project.id, None)
        self.project_shares.pop(project.id, None)

    def add_member(self, path: str, username: str, level: int) -> None:
        """Set a user's level in a group or a project, by itself; any integer is taken."""
        self._members(path)[self.user(username).id] = level

    def remove_member(self, path: str, username: str) -> None:
        """Take a user out of a group or a project."""
        self._members(path).pop(self.user(username).id, None)

    def share(self, path: str, group: str, level: int) -> None:
        """Invite a group into a group or a project, with at most this level."""
        self._shares(path)[self.group(group).id] = level

    def unshare(self, path: str, group: str) -> None:
        """Take an invited group out again."""
        self._shares(path).pop(self.group(group).id, None)

    def create_token(
        self,
        username: str,
        *,
        kind: TokenKind = TokenKind.PERSONAL,
        scopes: tuple[str, ...] = ("api",),
        expires_in: int | None = None,
        revoked: bool = False,
        permissions: frozenset[str] | None = None,
        secret: str | None = None,
        name: str = "token",
    ) -> Token:
        """Give a user a token; a negative `expires_in` (seconds) makes an expired one.

        A personal token lives on until the midnight after it. `permissions` makes it a
        fine-grained one, with those instead of scopes.
        """
        now = datetime.now(UTC)
        token = Token(
            id=len(self.tokens) + 1,
            secret=secret or _secret(kind),
            kind=kind,
            user_id=self.user(username).id,
            name=name,
            scopes=scopes if permissions is None else ("granular",),
            created=now,
            expires=None if expires_in is None else _end(kind, now, expires_in),
            revoked=revoked,
            permissions=permissions,
        )
        if token.secret in self.tokens:
            raise Refused("this token exists")
        self.tokens[token.secret] = token
        return token

    def create_access_token(
        self,
        path: str,
        level: int,
        *,
        scopes: tuple[str, ...] = ("api",),
        secret: str | None = None,
    ) -> Token:
        """Make a project or group access token: the token of a bot that is a member there."""
        project = self.project_at(path)
        owner = f"project_{project.id}" if project else f"group_{self.group(path).id}"
        bot = self.create_user(f"{owner}_bot_{secrets.token_hex(16)}", name="token", bot=True)
        self.add_member(path, bot.username, level)
        return self.create_token(bot.username, scopes=scopes, secret=secret)

    def update_token(self, secret: str, *, revoked: bool) -> Token:
        """Revoke a token."""
        if secret not in self.tokens:
            raise Refused("there is no such token")
        self.tokens[secret] = replace(self.tokens[secret], revoked=revoked)
        return self.tokens[secret]

    def _members(self, path: str) -> dict[int, int]:
        project = self.project_at(path)
        if project is not None:
            return self.project_members[project.id]
        return self.group_members[self.group(path).id]

    def _shares(self, path: str) -> dict[int, int]:
        project = self.project_at(path)
        if project is not None:
            return self.project_shares[project.id]
        return self.group_shares[self.group(path).id]

    def _check_free(self, path: str) -> None:
        taken = (self._user_ids, self._group_ids, self._project_ids)
        if any(path.lower() in paths for paths in taken):
            raise Refused(f"{path} has already been taken")


def _known(ids: dict[str, int], name: str, what: str) -> int:
    try:
        return ids[name.lower()]
    except KeyError:
        raise Refused(f"there is no {what} {name}") from None


def _given(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if value is not None}


def _next(records: dict[int, Any]) -> int:
    return max(records, default=0) + 1


def _end(kind: TokenKind, now: datetime, seconds: int) -> datetime:
    """Return when a token ends; a personal one has a date, and ends at its midnight in UTC."""
    moment = now + timedelta(seconds=seconds)
    if kind is not TokenKind.PERSONAL:
        return moment
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if seconds < 0 else midnight + timedelta(days=1)


def _secret(kind: TokenKind) -> str:
    match kind:
        case TokenKind.OAUTH:
            return secrets.token_hex(32)
        case TokenKind.JOB:
            return f"glcbt-64_{secrets.token_urlsafe(15)}"
        case TokenKind.PERSONAL:
            return f"glpat-{secrets.token_urlsafe(15)}"
