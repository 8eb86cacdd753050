"""What a GitLab instance keeps: users, groups, projects and tokens."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """The access levels that have a name (GitLab: lib/gitlab/access.rb)."""

    NO_ACCESS = 0
    MINIMAL_ACCESS = 5
    GUEST = 10
    PLANNER = 15
    REPORTER = 20
    SECURITY_MANAGER = 25
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50


class Visibility(StrEnum):
    """Who may see a project without being its member."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class State(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"


class TokenKind(StrEnum):
    """How a token was made; project and group access tokens are personal tokens of a bot."""

    PERSONAL = "personal"
    OAUTH = "oauth"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class User:
    """A person or a bot."""

    id: int
    username: str
    name: str
    state: State = State.ACTIVE
    admin: bool = False
    external: bool = False
    bot: bool = False

    @property
    def email(self) -> str:
        """The user's primary address."""
        return f"{self.username}@example.com"


@dataclass(frozen=True, slots=True)
class Group:
    """A group; `path` is its full path."""

    id: int
    path: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project; `path` is its full path in the letter case it was created with."""

    id: int
    path: str
    visibility: Visibility = Visibility.PRIVATE
    topics: tuple[str, ...] = ()
    archived: bool = False

    @property
    def namespace(self) -> str:
        """The full path of the group, or the user name, it belongs to."""
        return self.path.rpartition("/")[0]

    @property
    def slug(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a user. `permissions` is None unless the token is fine-grained."""

    id: int
    secret: str
    kind: TokenKind
    user_id: int
    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None = None
    revoked: bool = False
    permissions: frozenset[str] | None = None

    @property
    def expired(self) -> bool:
        """Whether the token's time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    @property
    def seconds_left(self) -> int | None:
        """The whole seconds until the token ends."""
        if self.expires is None:
            return None
        return int((self.expires - datetime.now(UTC)).total_seconds())
