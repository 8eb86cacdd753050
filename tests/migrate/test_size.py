"""Large databases: the work of a migration grows with what there is, and no faster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.migrate.bulk import path_of, pour
from tests.migrate.predecessor import Migrate, Predecessor

SMALL, LARGE = range(1_000, 1_005), range(1_000, 1_020)
GROWTH = len(LARGE) / len(SMALL)
_STEPS = 100
_HOMES = "SELECT DISTINCT workspace FROM experiments WHERE experiment_id > 9999"


class Work:
    """What a database has to do, in what does not depend on the machine."""

    statements = 0
    steps = 0

    def connected(self, connection: Any, _: object) -> None:
        """Have SQLite tell of each few steps of its virtual machine."""
        connection.set_progress_handler(self._stepped, _STEPS)

    def executed(self, *_: object) -> None:
        """Count a statement."""
        self.statements += 1

    def _stepped(self) -> int:
        self.steps += _STEPS
        return 0


@pytest.fixture
def work() -> Iterator[Work]:
    counted = Work()
    heard = (("connect", counted.connected), ("before_cursor_execute", counted.executed))
    for name, listener in heard:
        event.listen(Engine, name, listener)
    yield counted
    for name, listener in heard:
        event.remove(Engine, name, listener)


def test_four_times_the_projects_take_no_more_than_four_times_the_work(
    template: Predecessor, tmp_path: Path, migrate: Migrate, work: Work
) -> None:
    """MLflow has no index by which runs are found by their experiment."""
    done = []
    for projects in (SMALL, LARGE):
        before = template.copied(tmp_path / str(len(projects)))
        pour(before, projects)
        listed = before.listed({path_of(project): project for project in projects})
        for arguments, homes in (
            ((), {"default"}),
            (("--apply",), {f"p{project}" for project in projects}),
            (("--undo",), {f"p{project}" for project in projects}),
            (("--undo", "--apply"), {"default"}),
        ):
            work.statements = work.steps = 0
            migrate(before, "--projects", str(listed), *arguments)
            done.append((work.statements, work.steps))
            assert {home for (home,) in before.execute(_HOMES)} == homes

    for small, large in zip(done[:4], done[4:], strict=True):
        assert large[0] <= GROWTH * small[0]
        assert large[1] <= GROWTH * small[1]
