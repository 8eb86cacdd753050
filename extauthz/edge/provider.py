"""What a provider of identities and permissions tells the edge."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from extauthz.edge.credentials import Credential
from extauthz.edge.slots import Line


class Visibility(StrEnum):
    """Who may see a project without being its member."""

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(slots=True)
class Asker:
    """On whose behalf a provider is asked.

    `name` tells credentials apart and reveals none; `proven` once the provider has accepted it.
    Who asks for a `view` of everything asks much at once, and should hold nobody else up.
    """

    credential: Credential
    name: bytes
    proven: bool = False
    view: bool = False

    @property
    def line(self) -> Line:
        """Where the calls wait that are made for him."""
        if not self.proven:
            return Line.STRANGERS
        return Line.VIEWS if self.view else Line.CHECKS


@dataclass(frozen=True, slots=True)
class User:
    """A proven caller. `subject` is stable and unique, `name` is for people to read."""

    subject: str
    name: str


@dataclass(frozen=True, slots=True)
class Project:
    """A project the caller can see, and his access level in it (GitLab's numbers)."""

    id: int
    path: str
    level: int
    topics: frozenset[str]
    archived: bool
    visibility: Visibility


@dataclass(frozen=True, slots=True)
class Reach:
    """What a token may do by itself, whoever owns it.

    `expires` is the Unix time at which the token ends, None if it does not or nobody says;
    `described` is False if the provider told nothing, which may not be its last word.
    """

    writes: bool
    expires: float | None = None
    described: bool = True


class Provider(Protocol):
    """Turns a credential into proven facts.

    Every method raises Unauthenticated for a credential the provider refuses, Forbidden for an
    account it has blocked, and Unavailable when there is no definite answer in time.
    """

    async def project(self, asker: Asker, path: str) -> tuple[User, Project]:
        """Return the caller and the project at a path; raises NotFound."""

    async def projects(self, asker: Asker, ids: Sequence[int]) -> tuple[User, Sequence[Project]]:
        """Return the caller and those of the projects that he can see."""

    async def reach(self, asker: Asker) -> Reach:
        """Return what the credential itself allows."""
