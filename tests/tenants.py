"""Users and projects made for one test, in the GitLab of a stack."""

from collections.abc import Iterable
from dataclasses import dataclass
from secrets import token_hex

from tests.caller import Caller
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack


def unique(noun: str) -> str:
    """Return a name that no other test uses."""
    return f"{noun}-{token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Tenants:
    """The users and projects of a stack."""

    stack: Stack

    def user(self) -> str:
        """Make a user who is a member of nothing; returns his name."""
        name = unique("user")
        self.stack.gitlab.create_user(name)
        return name

    def project(self, path: str = "", **properties: object) -> "Project":
        """Make a project with a unique path, or with this one."""
        path = path or f"{unique('group')}/project"
        number = self.stack.gitlab.change("create_project", path=path, **properties)["id"]
        return Project(self, path, number)

    def everywhere(self, token: str) -> Caller:
        """Return a caller in the global view."""
        return Caller.with_token(self.stack.envoy.port, "", token)

    def token(self, user: str, *, scopes: Iterable[str] = ("api",), kind: str = "personal") -> str:
        """Give a user a token."""
        return self.stack.gitlab.token(user, scopes=scopes, kind=kind)


@dataclass(frozen=True, slots=True)
class Project:
    """A GitLab project, and ways to call MLflow in it."""

    tenants: Tenants
    path: str
    id: int

    def caller(self, token: str, *, path: str = "") -> Caller:
        """Return a caller in the project's view, under its path or under another one."""
        port = self.tenants.stack.envoy.port
        return Caller.with_token(port, f"/{path or self.path}/tracking", token)

    def member(self, level: int) -> str:
        """Make a user with a level in this project; returns his name."""
        name = self.tenants.user()
        self.tenants.stack.gitlab.add_member(self.path, name, level)
        return name

    def developer(self) -> Caller:
        """Return a new developer of this project."""
        return self.caller(self.tenants.token(self.member(DEVELOPER)))

    def guest(self) -> Caller:
        """Return a new guest of this project."""
        return self.caller(self.tenants.token(self.member(GUEST)))
