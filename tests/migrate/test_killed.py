"""Killed at any moment, it leaves nothing that its next run does not finish."""

import random
import time

import pytest

from tests.migrate.integrity import holds, workspace_of
from tests.migrate.predecessor import GONE, IDS, Migrate, Predecessor
from tests.migrate.runs import runs

ALL = IDS | {GONE: 103}
KILLS = 15
# More than one of everything in each run, so that a kill can come in between.
FILES = 40


@pytest.fixture
def full(before: Predecessor) -> Predecessor:
    """A predecessor with many files in each run."""
    for made in before.made:
        folder = before.artifacts / str(made.experiment) / made.run / "artifacts"
        for number in range(FILES):
            (folder / f"{number}.txt").write_text(f"{made.secret} {number}")
    return before


def files(before: Predecessor) -> dict[str, bytes]:
    """Return the names and contents of all files, whichever workspace they are in."""
    found = {}
    for path in before.artifacts.rglob("*"):
        if path.is_file():
            parts = path.relative_to(before.artifacts).parts
            inside = parts[2:] if parts[0] == "workspaces" else parts
            found["/".join(inside)] = path.read_bytes()
    return found


@pytest.mark.parametrize("direction", [(), ("--undo",)], ids=["into", "back"])
def test_killed_at_any_moment_and_run_again(
    full: Predecessor, migrate: Migrate, direction: tuple[str, ...]
) -> None:
    listed = str(full.listed(ALL))
    kept = files(full)
    if direction:
        migrate(full, "--apply", "--projects", listed)
    arguments = ("--apply", "--projects", listed, *direction)
    killed = 0

    with runs(full) as process:
        process.run("--projects", listed)  # the first takes longer
        started = time.monotonic()
        process.run("--projects", listed, *direction)
        duration = time.monotonic() - started
        for _ in range(KILLS):
            killed += process.run(*arguments, kill_after=random.uniform(0, 2 * duration)) < 0
            holds(full)
            assert files(full) == kept
        assert process.run(*arguments) == 0

    assert killed > 0
    holds(full)
    homes = {workspace_of(full, made) for made in full.made}
    assert homes == ({"default"} if direction else {"p101", "p102", "p103"})
    _is_tidy(full, kept, workspaces=not direction)


def _is_tidy(before: Predecessor, kept: dict[str, bytes], *, workspaces: bool) -> None:
    """Hold that each file is there once, and only where it belongs."""
    every = [path for path in before.artifacts.rglob("*") if path.is_file()]
    assert len(every) == len(kept) == len(files(before))
    assert {path.name for path in before.artifacts.iterdir()} == (
        {"workspaces"} if workspaces else {str(made.experiment) for made in before.made}
    )
