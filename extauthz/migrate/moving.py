"""Moving: what a plan says, in steps of which each can be the last and the next run goes on.

Files are copied and compared, then the rows move, then the old files go: at any moment, the files
that the rows name are there.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import SystemRandom
from typing import Final, TypeVar

from sqlalchemy import Engine

from extauthz.migrate.errors import Failed
from extauthz.migrate.files import Files
from extauthz.migrate.indexes import indexed
from extauthz.migrate.locations import Roots, stored_of
from extauthz.migrate.plan import Leftover, Plan, Share
from extauthz.migrate.transfer import transfer

# So many copies of a project are read again.
SAMPLE: Final = 20

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class File:
    """A file, where it is and where it is to be."""

    source: str
    target: str
    size: int


@dataclass(frozen=True, slots=True)
class Mover:
    """Carries out plans on a database and its files; `say` tells people how far it is.

    `check` is called before each project, and raises Failed if somebody has come to work there.
    """

    engine: Engine
    files: Files
    roots: Roots
    say: Say
    check: Callable[[], None] = lambda: None
    sample: int = SAMPLE

    def carry_out(self, plan: Plan) -> list[str]:
        """Do it; returns what failed, in words. One project's failure is not another's."""
        with indexed(self.engine, needed=bool(plan.shares)):
            return [*_each(plan.shares, self._share), *_each(plan.leftovers, self._leftover)]

    def _share(self, share: Share) -> None:
        self.check()
        files = self._copied(share.workspace, share.experiments, share.source, share.target)
        transfer(self.engine, share, self.roots)
        self.say(f"{share.workspace}: the rows are in workspace {share.target}")
        self._remove(share.workspace, share.experiments, share.source, files)

    def _leftover(self, leftover: Leftover) -> None:
        self.check()
        name, experiments = f"experiment {leftover.experiment}", [leftover.experiment]
        files = self._copied(name, experiments, leftover.source, leftover.target)
        self._remove(name, experiments, leftover.source, files)

    def _copied(
        self, name: str, experiments: Iterable[int], source: str, target: str
    ) -> list[File]:
        """Return the files of experiments, all of which are now in their new places as well."""
        files = list[File]()
        for experiment in experiments:
            files += self._copied_of(stored_of(source, experiment), stored_of(target, experiment))
        for file in SystemRandom().sample(files, min(self.sample, len(files))):
            if self.files.digest(file.source) != self.files.digest(file.target):
                raise Failed(f"{file.target} has not the content of {file.source}")
        self.say(f"{name}: {len(files)} files are in their new places")
        return files

    def _copied_of(self, source: str, target: str) -> list[File]:
        sizes, there = self.files.sizes(f"{source}/"), self.files.sizes(f"{target}/")
        files = [File(f"{source}/{path}", f"{target}/{path}", sizes[path]) for path in sizes]
        known = {f"{target}/{path}" for path in there}
        with ThreadPoolExecutor(self.files.at_once) as pool:
            list(pool.map(self._compare, (file for file in files if file.target in known)))
            list(pool.map(self._copy, (file for file in files if file.target not in known)))
        there = self.files.sizes(f"{target}/")
        if short := [path for path, size in sizes.items() if there.get(path) != size]:
            raise Failed(f"{target}/{short[0]} is not as long as {source}/{short[0]}")
        return files

    def _copy(self, file: File) -> None:
        self.files.copy(file.source, file.target)

    def _compare(self, file: File) -> None:
        """Hold that what is there already is a copy: of an earlier run, and nobody else's."""
        if not self.files.same(file.source, file.target):
            raise Failed(f"{file.source} and {file.target} differ: take the wrong one away")

    def _remove(
        self, name: str, experiments: Iterable[int], source: str, files: Iterable[File]
    ) -> None:
        self.files.remove(file.source for file in files)
        for experiment in experiments:
            self.files.prune(stored_of(source, experiment))
        self.say(f"{name}: the old files are gone")


def _each(items: Iterable[T], move: Callable[[T], None]) -> Iterator[str]:
    for item in items:
        try:
            move(item)
        except Failed as failed:
            yield str(failed)
