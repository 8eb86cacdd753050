"""One MLflow of before, made once; each test has a copy of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.migrate.predecessor import WANTED, Migrate, Predecessor, fill
from tests.servers.mlflow import plain_mlflow


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Predecessor:
    """A database and files as the real client and a real MLflow have made them."""
    folder, home = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("home")
    with plain_mlflow(folder) as server:
        made = fill(server, home, WANTED)
    return Predecessor(folder, made)


@pytest.fixture
def before(template: Predecessor, tmp_path: Path) -> Predecessor:
    """A copy of it."""
    return template.copied(tmp_path / "mlflow")


@pytest.fixture
def migrate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Migrate]:
    """`extauthz migrate`."""
    for name in ("GITLAB_URL", "SHARINGHUB_URL", "GITLAB_SERVICE_TOKEN", "PROJECT_TAG"):
        monkeypatch.delenv(name, raising=False)
    yield Migrate(monkeypatch, capsys)
    # It has logs written to what is the terminal of this test only.
    structlog.reset_defaults()
