"""Killed at any moment, it leaves nothing that its next run does not finish."""

import pytest

from tests.migrate.integrity import holds, workspace_of
from tests.migrate.predecessor import GONE, IDS, Migrate, Predecessor
from tests.migrate.runs import killed_ever_later, runs

# Of all changes, every other is one before which it is killed.
STRIDE = 2
ALL = IDS | {GONE: 103}


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
def test_killed_before_each_change_and_run_again(
    before: Predecessor, migrate: Migrate, direction: tuple[str, ...]
) -> None:
    listed = str(before.listed(ALL))
    kept = files(before)
    if direction:
        migrate(before, "--apply", "--projects", listed)

    with runs(before) as process:
        arguments = ("--apply", "--projects", listed, *direction)
        killed = 0
        for _ in killed_ever_later(process, *arguments, stride=STRIDE):
            killed += 1
            holds(before)
            assert files(before) == kept

    assert killed > 10
    holds(before)
    homes = {workspace_of(before, made) for made in before.made}
    assert homes == ({"default"} if direction else {"p101", "p102", "p103"})
    _is_tidy(before, kept, workspaces=not direction)


def _is_tidy(before: Predecessor, kept: dict[str, bytes], *, workspaces: bool) -> None:
    """Hold that each file is there once, and only where it belongs; and nothing else is left."""
    every = [path for path in before.artifacts.rglob("*") if path.is_file()]
    assert len(every) == len(kept) == len(files(before))
    assert {path.name for path in before.artifacts.iterdir()} == (
        {"workspaces"} if workspaces else {str(made.experiment) for made in before.made}
    )
    assert before.execute("SELECT name FROM sqlite_master WHERE name LIKE 'extauthz_mig%'") == []
