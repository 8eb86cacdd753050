from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.store.tracking.dbmodels.models import SqlExperiment
from sqlalchemy import Engine, create_engine, insert, inspect
from sqlalchemy.schema import CreateTable

from extauthz.plugin import instance
from extauthz.plugin.instance import ForeignInstance, claim, rebind, recorded
from extauthz.plugin.projects import Owners


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = create_engine(f"sqlite:///{tmp_path / 'mlflow.db'}")
    yield opened
    opened.dispose()


def test_a_database_belongs_to_the_instance_that_first_used_it(engine: Engine) -> None:
    claim(engine, "gitlab.test")
    claim(engine, "gitlab.test")

    with pytest.raises(ForeignInstance, match=r"set INSTANCE_ID back to gitlab\.test"):
        claim(engine, "gitlab.elsewhere")
    claim(engine, "gitlab.test")


def test_to_look_what_is_recorded_changes_nothing(engine: Engine) -> None:
    assert recorded(engine) == ""
    assert inspect(engine).get_table_names() == []
    claim(engine, "gitlab.test")
    assert recorded(engine) == "gitlab.test"


def test_a_database_is_bound_anew_only_on_purpose(engine: Engine) -> None:
    for name in ("gitlab.test", "gitlab.elsewhere"):
        rebind(engine, name)
        assert recorded(engine) == name
    with pytest.raises(ForeignInstance):
        claim(engine, "gitlab.test")


def test_workers_that_start_at_once_agree(engine: Engine) -> None:
    names = ["gitlab.test", "gitlab.elsewhere"] * 4
    together, won = Barrier(len(names)), []

    def start(name: str) -> None:
        together.wait()
        try:
            claim(engine, name)
        except ForeignInstance:
            return
        won.append(name)

    threads = [Thread(target=start, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 4
    assert len(set(won)) == 1


def test_the_owners_of_rows_are_the_projects_with_a_workspace(tmp_path: Path) -> None:
    tracking, registry = (create_engine(f"sqlite:///{tmp_path / name}") for name in ("t", "r"))
    for source, model, workspaces in (
        (tracking, SqlExperiment, ["p7", "p7", "p12", "default", "p0", "p01", "px", "p7x"]),
        (registry, SqlRegisteredModel, ["p3", "p12"]),
    ):
        table = model.__table__
        with source.begin() as connection:
            connection.execute(CreateTable(table))
            for number, workspace in enumerate(workspaces, 1):
                row = {"name": f"n{number}", "workspace": workspace}
                connection.execute(insert(table).values(row))

    assert Owners(tracking=tracking, registry=registry)() == [3, 7, 12]
    tracking.dispose()
    registry.dispose()


def test_a_worker_that_comes_second_takes_what_is_recorded(engine: Engine) -> None:
    claim(engine, "gitlab.test")

    assert instance._record(engine, "gitlab.elsewhere") == "gitlab.test"
