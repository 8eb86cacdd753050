"""An MLflow of before: one for everybody, with tags of projects; and `extauthz migrate` on it."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from extauthz.cli import main
from tests.client import run_client
from tests.servers.mlflow import INSTANCE, MLflow

SCRIPTS = Path(__file__).parent / "scripts"
# A project that was renamed: its two paths mean the same.
VISION, RENAMED, SPEECH, GONE = "acme/vision", "old/vision", "acme/speech", "acme/gone"
IDS = {VISION: 101, RENAMED: 101, SPEECH: 102}
WANTED = (
    (VISION, 101, "churn (101)"),
    (RENAMED, 101, "sales (101)"),
    (SPEECH, 102, "churn (102)"),
    (GONE, 103, "churn (103)"),
)
# Names that clients may give to files.
ODD = {
    *("a b.txt", " .txt", "100%.txt", "%2e%2e", "a%2Fb", "a+b&c=d;e?f#g.txt", "\\", "'\"<&>.txt"),
    *("\u00fc\u6f22\U0001f600.txt", "u\u0308", ".hidden", "-rf", "*", f"{'d/' * 99}deep.txt"),
}


@dataclass(frozen=True, slots=True)
class Made:
    """What a project had: one of everything, all of one name."""

    id: int
    path: str
    name: str
    experiment: int
    run: str
    model: str
    trace: str
    attachment: str
    dataset: str

    @property
    def secret(self) -> str:
        """What is in each of its files, and in its rows."""
        return f"secret-{self.id}"

    @property
    def file(self) -> str:
        """A file of the run, below the place of the experiment."""
        return f"{self.run}/artifacts/more/data.txt"


@dataclass(frozen=True, slots=True)
class Predecessor:
    """Its database and its files; `folder` holds both unless `settings` say otherwise."""

    folder: Path
    made: Sequence[Made]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def database(self) -> str:
        """The address of the database."""
        return self.environment["MLFLOW_BACKEND_STORE_URI"]

    @property
    def artifacts(self) -> Path:
        """The folder of the files."""
        return self.folder / "artifacts"

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a migration."""
        return {
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(self.artifacts),
            "INSTANCE_ID": INSTANCE,
            **self.settings,
        }

    def of(self, path: str) -> Made:
        """Return what is tagged with a path."""
        return next(each for each in self.made if each.path == path)

    def copied(self, folder: Path) -> "Predecessor":
        """Return a copy, which a test may change."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Predecessor(folder, self.made)

    def execute(self, statement: str, **values: object) -> list[Any]:
        """Execute SQL, as somebody who could do anything; returns the rows."""
        engine = create_engine(self.database)
        with engine.begin() as connection:
            found = _rows(connection, statement, values)
        engine.dispose()
        return found

    def listed(self, ids: Mapping[str, int] | None = None) -> Path:
        """Return a file that lists projects."""
        file = self.folder / "projects.csv"
        lines = (f"{path},{number}" for path, number in (IDS if ids is None else ids).items())
        file.write_text("\n".join(["path,id", *lines]))
        return file


@dataclass(frozen=True, slots=True)
class Done:
    """How a migration ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)

    @property
    def orphans(self) -> dict[str, str]:
        """Why what stays does so, by kind and name."""
        return {f"{each['kind']} {each['name']}": each["why"] for each in self.report["orphans"]}


@dataclass(frozen=True, slots=True)
class Migrate:
    """`extauthz migrate`, in the process of the test."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(
        self,
        before: Predecessor,
        *arguments: str,
        listed: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> Done:
        """Run it with its report as JSON, and the projects of a file unless told otherwise."""
        given = ["migrate", "--json", "--env-file", str(before.folder / ".env"), *arguments]
        if listed and "--projects" not in arguments:
            given += ["--projects", str(before.listed())]
        self.capsys.readouterr()
        with self.monkeypatch.context() as patched:
            for name, value in (before.environment | dict(settings or {})).items():
                patched.setenv(name, value)
            code = main(given)
        return Done(code, *self.capsys.readouterr())


def fill(server: MLflow, folder: Path, wanted: Sequence[tuple[str, int, str]]) -> list[Made]:
    """Have the real client make one of everything in each project."""
    uri = f"http://127.0.0.1:{server.port}"
    script = str(SCRIPTS / "fill")
    printed: Any = run_client(script, json.dumps(wanted), uri=uri, folder=folder)
    return [Made(**each) for each in printed["made"]]


def _rows(connection: Connection, statement: str, values: Mapping[str, object]) -> list[Any]:
    result = connection.execute(text(statement), values)
    return list(result) if result.returns_rows else []
