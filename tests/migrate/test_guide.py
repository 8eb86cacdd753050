"""The guide: its commands do what it says, and it names what there is."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

from extauthz.cli import main
from extauthz.migrate.plan import Why
from tests.gitlab import GitLab
from tests.migrate.integrity import workspace_of
from tests.migrate.predecessor import GONE, RENAMED, SPEECH, VISION, Predecessor
from tests.servers.processes import clean_environment

GUIDE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
# Something stays, as the guide says it may.
_FINE = {0, 3}


@pytest.fixture
def place(template: Predecessor, tmp_path: Path) -> Iterator[Path]:
    """A folder as mlflow-sharinghub has left it."""
    (tmp_path / "data").mkdir()
    copied = template.copied(tmp_path / "copy")
    (copied.folder / "mlflow.db").rename(tmp_path / "data" / "mlflow.db")
    copied.artifacts.rename(tmp_path / "data" / "mlartifacts")
    with GitLab.start() as gitlab:
        gitlab.create_user("root", admin=True)
        gitlab.create_project(RENAMED, id=101)
        gitlab.move_project(RENAMED, VISION)
        gitlab.create_project(SPEECH, id=102)
        (tmp_path / ".env").write_text(f"GITLAB_URL={gitlab.url}\n")
        (tmp_path / "gitlab-token").write_text(gitlab.token("root", scopes=("read_api",)))
        yield tmp_path


@pytest.mark.usefixtures("migrate")
def test_its_commands_move_there_and_back(
    template: Predecessor, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Predecessor(
        place, template.made, {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{place}/data/mlflow.db"}
    )
    there, _, back = GUIDE.partition("## The way back")

    for block in _commands(there):
        _run(block, place, monkeypatch)
    assert _homes(moved) == {VISION: "p101", RENAMED: "p101", SPEECH: "p102", GONE: "default"}
    for block in _commands(back):
        _run(block, place, monkeypatch)
    assert set(_homes(moved).values()) == {"default"}


def test_it_has_ten_steps() -> None:
    assert re.findall(r"^\*\*(\d+)\. ", GUIDE, re.MULTILINE) == [*map(str, range(1, 11))]


def test_it_explains_everything_that_makes_something_stay() -> None:
    assert re.findall(r"^\| `([a-z ]+)` \|", GUIDE, re.MULTILINE) == [str(why) for why in Why]


def _homes(moved: Predecessor) -> dict[str, str]:
    return {made.path: workspace_of(moved, made) for made in moved.made}


def _commands(text: str) -> list[str]:
    found = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


def _run(block: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in block.splitlines():
        words = shlex.split(line)
        variables = list(takewhile(lambda word: "=" in word, words))
        if words[len(variables)] != "extauthz":
            _run_in_a_shell(line, folder)
            continue
        # Here, since each process would take seconds to load MLflow.
        with monkeypatch.context() as patched:
            patched.chdir(folder)
            for variable in variables:
                patched.setenv(*variable.split("=", 1))
            assert main(words[len(variables) + 1 :]) in _FINE, line


def _run_in_a_shell(line: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        env=clean_environment() | {"PATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (line, done.stderr)
