"""Growth: does a cached check cost more when there are more users, or when one has more projects?

In this process, with a provider that answers at once, so that only the edge is measured: its caches
hold the access of 20,000 users in projects at most, and who was there before them is asked for
again. The 5,000 users who were there last are asked for in turn; in one more row, all that are
cached.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.asking import GET, check_at, check_of
from benchmarks.core import known
from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.timing import logging_to, settings_of, time_in_turn
from extauthz.edge.access import AccessControl
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.assembly import credential_reader, login_of
from extauthz.edge.check import Checker
from extauthz.edge.decision_log import DecisionLog
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.gitlab_access import GitLabAccess
from extauthz.edge.metrics import Metrics
from extauthz.edge.mint import Mint
from extauthz.edge.policy import Policy
from extauthz.edge.provider import Asker, Project, Reach, User, Visibility
from extauthz.edge.settings import Settings
from extauthz.grant import GrantKey, GrantSigner
from tests.gitlab import DEVELOPER

# As far apart as the ids of a large GitLab.
_BETWEEN = 20_011
_IN_TURN = 5_000
_CACHED = 20_000


class Everybody:
    """A provider that knows everybody, as a developer everywhere, and a server where all is."""

    def __init__(self, projects: int) -> None:
        self._ids = tuple(range(1_000_003, 1_000_003 + projects * _BETWEEN, _BETWEEN))

    async def project(self, asker: Asker, path: str) -> tuple[User, Project]:
        return _user(asker), _project(1, path)

    async def projects(self, asker: Asker, ids: Sequence[int]) -> tuple[User, Sequence[Project]]:
        return _user(asker), [_project(number, f"acme/project-{number}") for number in ids]

    async def reach(self, asker: Asker) -> Reach:  # noqa: ARG002 - as every provider
        return Reach(writes=True)

    async def ids(self) -> Sequence[int]:
        return self._ids


def _user(asker: Asker) -> User:
    return User(f"gitlab:{asker.name.hex()[:8]}", "ann")


def _project(number: int, path: str) -> Project:
    return Project(number, path, DEVELOPER, frozenset(), False, Visibility.PRIVATE)  # noqa: FBT003


@dataclass(frozen=True, slots=True)
class Core:
    """A decision core, and what it is asked."""

    checker: Checker
    control: AccessControl


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Fill as many cores as there are sizes, then ask them in turn."""
    with logging_to(folder / "growth.log"):
        asyncio.run(_measure(figures, effort))


async def _measure(figures: Figures, effort: Effort) -> None:
    by_users, by_projects = {}, {}
    cores = []
    for users in effort.users:
        cores.append(core := _core(projects=1))
        asked = [check_of(f"glpat-user-{number:06d}") for number in range(users)]
        for each in asked:
            answer = core.checker.check(each)
            if isinstance(answer, Awaitable):
                await answer
        await known(core.checker, asked[-1])
        by_users[f"growth.users_{users}_us"] = _in_turn(core, asked[-_IN_TURN:])
        if users >= _CACHED:
            by_users[f"growth.users_{users}_all_us"] = _in_turn(core, asked[-_CACHED:])
    for projects in effort.projects:
        cores.append(core := _core(projects))
        asked = [check_at(GET, "glpat-user")]
        await known(core.checker, asked[0])
        by_projects[f"growth.projects_{projects}_us"] = _in_turn(core, asked)
    for calls in (by_users, by_projects):
        time_in_turn(figures, calls, rounds=effort.blocks, loops=effort.loops)
    for core in cores:
        await core.control.close()
    first, last = (f"growth.users_{users}_us" for users in (effort.users[0], effort.users[-1]))
    figures.ratio("growth.users_ratio", last, first)


def _core(projects: int) -> Core:
    settings, metrics = Settings.load(settings_of("http://127.0.0.1:1")), Metrics(provider="gitlab")
    everybody = Everybody(projects)
    control = AccessControl(
        everybody,
        everybody,
        policy=Policy(),
        fingerprints=Fingerprints(settings.secret_key, settings.provider_url),
        lifetimes=Lifetimes(fresh=3600),
        observer=metrics,
    )
    checker = Checker(
        GitLabAccess(control, sessions=None, jobs=None),
        Mint(settings, GrantSigner(GrantKey(settings.grant_key))),
        [metrics, DecisionLog()],
        credential_of=credential_reader(settings),
        login=login_of(settings),
        site=settings.site,
    )
    return Core(checker, control)


def _in_turn(core: Core, asked: Sequence[bytes]) -> Callable[[], object]:
    turns = cycle(asked)
    return lambda: core.checker.check(next(turns))


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    texts = {"users": "users who have been there", "projects": "projects in the global view"}
    rows = []
    for noun, text in texts.items():
        sizes = sorted(
            int(name.split("_")[1])
            for name in values
            if name.startswith(f"growth.{noun}_")
            and name.count("_") == 2  # noqa: PLR2004 - exact
            and not name.endswith("_ratio")
        )
        rows += [
            (f"{size:,} {text}", f"{values[f'growth.{noun}_{size}_us']:.1f}") for size in sizes
        ]
        rows += [
            (f"{size:,} {text}, {_CACHED:,} in turn", f"{values[name]:.1f}")
            for size in sizes
            if (name := f"growth.{noun}_{size}_all_us") in values
        ]
    rows.append(("most users to fewest", f"ratio {values['growth.users_ratio']:.2f}"))
    return markdown(("a cached check with", "µs"), rows)
