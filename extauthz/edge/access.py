"""Access: what a caller may do, in one project or everywhere."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from extauthz.edge.access_cache import AccessCache, Clock, Lifetimes, Observer, Unobserved
from extauthz.edge.cache import Cache
from extauthz.edge.callers import Callers
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.flights import Flights, landed
from extauthz.edge.policy import Policy, absent, verdict_on, within_reach
from extauthz.edge.provider import Asker, Project, Provider, Reach, User
from extauthz.edge.throttle import Throttle
from extauthz.grant import Why
from extauthz.levels import Role

# The scopes and the end of a token never change; what ends early is its right to be used at all,
# and every other question to the provider asks for that.
_SECONDS_OF_REACH: Final = 600.0
# Not to be told is no property of a token: it could be a hiccup, after which it writes again.
_SECONDS_UNDESCRIBED: Final = 30.0
_MOST_PROJECTS: Final = 20_000
_MOST_REACHES: Final = 20_000
# One of these can hold thousands of ids.
_MOST_EVERYWHERE: Final = 1_000
# Only for a page that lists them.
_MOST_DIRECTORIES: Final = 200
# No project path: those have a slash.
_EVERYWHERE: Final = "*"


@dataclass(frozen=True, slots=True, eq=False)
class ProjectAccess:
    """Access to one project; `why` says why the role is only READ.

    The same object is returned for as long as an answer is kept, so it can key what is derived.
    """

    user: User
    project_id: int
    project_path: str
    role: Role
    why: Why | None


@dataclass(frozen=True, slots=True, eq=False)
class GlobalAccess:
    """Access to everything at once: the ids, ascending, of the projects the caller may read."""

    user: User
    projects: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """The paths of the projects that hold something and that the caller may read, in order."""

    user: User
    paths: tuple[str, ...]


class Owned(Protocol):
    """Knows which projects have anything in MLflow."""

    async def ids(self) -> Sequence[int]:
        """Return their ids, ascending; raises Unavailable."""


S = TypeVar("S", GlobalAccess, Directory)


class AccessControl:
    """Decides what a credential may do, from a provider's facts and the operator's policy."""

    def __init__(
        self,
        provider: Provider,
        owned: Owned,
        *,
        policy: Policy,
        fingerprints: Fingerprints,
        lifetimes: Lifetimes,
        observer: Observer | None = None,
        clock: Clock = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._owned = owned
        self._policy = policy
        self._fingerprints = fingerprints
        self._clock = clock
        self._wall = wall
        # One for everything that is asked of the provider.
        self.throttle: Final = Throttle(clock=clock)
        self._callers = callers = Callers(clock=clock)
        shared = partial(
            AccessCache,
            callers=callers,
            lifetimes=lifetimes,
            observer=observer or Unobserved(),
            clock=clock,
        )
        self._projects: AccessCache[ProjectAccess] = shared(
            _MOST_PROJECTS, name="project", weaken=_weakened
        )
        self._everywhere: AccessCache[GlobalAccess] = shared(
            _MOST_EVERYWHERE, name="global", weaken=_same
        )
        self._directories: AccessCache[Directory] = shared(
            _MOST_DIRECTORIES, name="directory", weaken=_same
        )
        self._reaches: Cache[bytes, Reach] = Cache(_MOST_REACHES, clock=clock)
        self._reach_flights: Flights[bytes, Reach] = Flights()

    def in_project(
        self, credential: Credential, path: str
    ) -> ProjectAccess | Awaitable[ProjectAccess]:
        """Return the access to the project at a path, at once if it is known.

        Raises Unauthenticated, TooManyAttempts, Forbidden, NotFound or Unavailable.
        """
        who = self._fingerprints.of(credential)
        ask = partial(self._ask_project, who, credential, path)
        # GitLab ignores the case of a path.
        return self._projects.look_up(who, path.lower(), ask)

    def by_number(
        self, credential: Credential, number: int
    ) -> ProjectAccess | Awaitable[ProjectAccess]:
        """Return the access to the project with an id, at once if it is known; raises as above."""
        who = self._fingerprints.of(credential)
        ask = partial(self._ask_number, who, credential, number)
        # No path: those have a slash.
        return self._projects.look_up(who, str(number), ask)

    def directory(self, credential: Credential) -> Directory | Awaitable[Directory]:
        """Return the projects that the caller may read, with their paths; raises as below."""
        who = self._fingerprints.of(credential)
        ask = partial(self._ask_directory, who, credential)
        return self._directories.look_up(who, _EVERYWHERE, ask)

    def forget(self, credential: Credential) -> None:
        """Forget everything about a credential that has ended."""
        self._callers.forget(self._fingerprints.of(credential))

    def everywhere(self, credential: Credential) -> GlobalAccess | Awaitable[GlobalAccess]:
        """Return what of all projects the caller may read, at once if it is known.

        Raises Unauthenticated, TooManyAttempts, Forbidden or Unavailable; an incomplete answer is
        none.
        """
        who = self._fingerprints.of(credential)
        return self._everywhere.look_up(
            who, _EVERYWHERE, partial(self._ask_everywhere, who, credential)
        )

    async def close(self) -> None:
        """End the questions under way."""
        await self._projects.close()
        await self._everywhere.close()
        await self._directories.close()
        await self._reach_flights.close()

    async def _ask_project(
        self, who: bytes, credential: Credential, path: str
    ) -> tuple[ProjectAccess, float]:
        asker = Asker(credential, who, proven=self._knows(who, credential))
        with self.throttle.attempt(asker):
            user, project = await self._provider.project(asker, path)
        return await self._judged(asker, user, project)

    async def _ask_number(
        self, who: bytes, credential: Credential, number: int
    ) -> tuple[ProjectAccess, float]:
        asker = Asker(credential, who, proven=self._knows(who, credential))
        with self.throttle.attempt(asker):
            user, found = await self._provider.projects(asker, [number])
        if not found:
            raise absent()
        return await self._judged(asker, user, found[0])

    async def _judged(
        self, asker: Asker, user: User, project: Project
    ) -> tuple[ProjectAccess, float]:
        verdict = verdict_on(project, self._policy)
        if verdict is None:
            raise absent()
        # What a login may do is its user's affair: we have chosen the scopes.
        if verdict.role is Role.WRITE and asker.credential.kind is not Kind.LOGIN:
            verdict = within_reach(verdict, await self._reach(asker))
        access = ProjectAccess(user, project.id, project.path, verdict.role, verdict.why)
        return access, self._end(asker.name)

    async def _ask_everywhere(
        self, who: bytes, credential: Credential
    ) -> tuple[GlobalAccess, float]:
        owned, user, readable = await self._readable(who, credential)
        numbers = {project.id for project in readable}
        # The numbers of `owned`, so that many callers' lists share them in memory.
        access = GlobalAccess(user, tuple(number for number in owned if number in numbers))
        return access, self._end(who)

    async def _ask_directory(self, who: bytes, credential: Credential) -> tuple[Directory, float]:
        _, user, readable = await self._readable(who, credential)
        paths = sorted((project.path for project in readable), key=str.lower)
        return Directory(user, tuple(paths)), self._end(who)

    async def _readable(
        self, who: bytes, credential: Credential
    ) -> tuple[Sequence[int], User, list[Project]]:
        owned = await self._owned.ids()
        asker = Asker(credential, who, proven=self._knows(who, credential), view=True)
        with self.throttle.attempt(asker):
            user, seen = await self._provider.projects(asker, owned)
        return owned, user, [each for each in seen if verdict_on(each, self._policy)]

    def _knows(self, who: bytes, credential: Credential) -> bool:
        """Tell whether nobody has just made a credential up; we have sealed those of logins."""
        return credential.kind is Kind.LOGIN or self._callers.knows(who)

    async def _reach(self, asker: Asker) -> Reach:
        reach = self._reaches.get(asker.name)
        if reach is None:
            ask = partial(self._provider.reach, asker)
            reach = await landed(self._reach_flights.join(asker.name, ask))
            seconds = _SECONDS_OF_REACH if reach.described else _SECONDS_UNDESCRIBED
            self._reaches.put(asker.name, reach, until=self._clock() + seconds)
        return reach

    def _end(self, who: bytes) -> float:
        """Return the time of our clock at which a token ends, as far as we know."""
        reach = self._reaches.get(who)
        if reach is None or reach.expires is None:
            return float("inf")
        return self._clock() + reach.expires - self._wall()


def _weakened(access: ProjectAccess) -> ProjectAccess:
    """Return what is left of an access in an outage: reading."""
    if access.role is Role.READ:
        return access
    return replace(access, role=Role.READ, why=Why.STALE)


def _same(access: S) -> S:
    """Return what only reads, outage or not."""
    return access
