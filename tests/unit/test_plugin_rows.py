"""The row criteria, over a database in which every table that MLflow maps has rows of projects."""

import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlExperimentTag,
    SqlLoggedModelTag,
    SqlMetric,
    SqlRun,
)
from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.exc import SADeprecationWarning
from sqlalchemy.orm import Session, aliased, joinedload, selectinload, subqueryload
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateTable

from extauthz.grant import Grant, View
from extauthz.levels import Role
from extauthz.plugin import rows
from extauthz.plugin.context import acting_under
from extauthz.plugin.tables import mapped, table_of

PROJECTS = (1, 2, 3)


class Restricted(Session):
    """Sessions of these tests only."""


with warnings.catch_warnings():
    # MLflow's mappings use an option that SQLAlchemy has deprecated.
    warnings.simplefilter("ignore", SADeprecationWarning)
    rows.watch(Restricted)


def project(number: int) -> Grant:
    return Grant(
        view=View.PROJECT,
        instance="gitlab.test",
        role=Role.WRITE,
        project_id=number,
        project_path="group/project",
    )


def everything(*numbers: int) -> Grant:
    return Grant(view=View.GLOBAL, instance="gitlab.test", projects=numbers)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    memory = create_engine("sqlite://", poolclass=StaticPool)
    with memory.begin() as connection:
        # The rows below say nothing; only how they hang together matters.
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table))
        for number in PROJECTS:
            written: dict[str, dict[str, Any]] = {}
            for table in Base.metadata.sorted_tables:
                written[table.name] = _row(table, number, written)
                connection.execute(table.insert().values(written[table.name]))
    yield memory
    memory.dispose()


def _row(table: Table, number: int, written: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a row of a project: its keys lead to the rows that the project already has."""
    row = {column.name: _value(column, number) for column in table.columns if not column.computed}
    for key in table.foreign_key_constraints:
        if key.referred_table is not table:
            parent = written[key.referred_table.name]
            row |= {e.parent.name: parent[e.column.name] for e in key.elements}
    if table.name == "inputs":
        row |= {"source_type": "RUN_OUTPUT", "source_id": f"runs-{number}"}
    return row


def _value(column: Column[Any], number: int) -> object:
    if column.name == "workspace":
        return f"p{number}"
    match column.type:
        case Integer() | BigInteger() | Float():
            return number
        case LargeBinary():
            return b""
        case kind if kind.python_type is dict or kind.python_type is bool:
            return None
        case _:
            return f"{column.table.name}-{number}"[:32]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Restricted(engine) as opened:
        yield opened
        opened.rollback()


REACHABLE = sorted(
    name
    for name, mapper in mapped().items()
    if name == "inputs"
    or "workspace" in table_of(mapper).c
    or rows.key_to_workspace(table_of(mapper))
)
UNREACHABLE = sorted(set(mapped()) - set(REACHABLE))


def test_these_tables_lead_to_no_workspace() -> None:
    assert UNREACHABLE == [
        "entity_associations",
        "scheduler_leases",
        "sql_assessment_daily_rollups",
        "sql_span_cost_daily_rollups",
        "sql_trace_metric_daily_rollups",
        "sql_trace_rollup_rebuild_queue",
        "workspaces",
    ]


@pytest.mark.parametrize("name", REACHABLE)
def test_a_project_sees_its_own_rows(session: Session, name: str) -> None:
    entity = mapped()[name].class_
    with acting_under(project(2)):
        (row,) = session.scalars(select(entity))
        (same,) = session.scalars(select(aliased(entity)))
        count = session.query(func.count()).select_from(entity).scalar()
        columns = session.execute(select(*mapped()[name].primary_key)).all()

    assert row is same
    assert _is_of(row, 2)
    assert count == len(columns) == 1


@pytest.mark.parametrize("name", REACHABLE)
def test_the_global_view_sees_the_rows_of_the_granted_projects(session: Session, name: str) -> None:
    with acting_under(everything(1, 3)):
        found = session.scalars(select(mapped()[name].class_)).all()

    assert {number for number in PROJECTS for row in found if _is_of(row, number)} == {1, 3}
    assert len(found) == 2


@pytest.mark.parametrize("name", UNREACHABLE)
def test_a_table_that_leads_to_no_workspace_is_empty(session: Session, name: str) -> None:
    with acting_under(everything(*PROJECTS)):
        assert session.scalars(select(mapped()[name].class_)).all() == []


@pytest.mark.parametrize("name", sorted(mapped()))
def test_without_a_grant_there_are_no_rows(session: Session, name: str) -> None:
    assert session.scalars(select(mapped()[name].class_)).all() == []


@pytest.mark.parametrize("view", [View.PUBLIC, View.SYSTEM])
def test_a_view_without_projects_sees_no_rows(session: Session, view: View) -> None:
    with acting_under(Grant(view=view, instance="gitlab.test")):
        assert session.scalars(select(SqlExperiment)).all() == []


def test_a_thread_of_its_own_sees_no_rows(engine: Engine) -> None:
    found: list[Any] = []

    def work() -> None:
        with Restricted(engine) as opened:
            found.append(opened.scalars(select(SqlExperiment)).all())

    with acting_under(project(1)):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert found == [[]]


def test_a_row_is_not_found_by_its_key(session: Session) -> None:
    with acting_under(project(1)):
        assert session.get(SqlRun, "runs-2") is None
        assert session.get(SqlRun, "runs-1") is not None


@pytest.mark.parametrize("load", [joinedload, selectinload, subqueryload])
def test_related_rows_are_restricted_too(session: Session, load: Any) -> None:
    moved = update(SqlExperimentTag.__table__).values(experiment_id=1)
    session.connection().execute(moved)  # all tags now hang on the experiment of project 1
    session.connection().execute(
        update(SqlExperiment.__table__)
        .where(SqlExperiment.experiment_id == 1)
        .values(workspace="p2")
    )
    with acting_under(project(2)):
        found = (
            session.scalars(select(SqlExperiment).options(load(SqlExperiment.tags))).unique().all()
        )
        tags = {tag.key for experiment in found for tag in experiment.tags}
    assert tags == {f"experiment_tags-{number}" for number in PROJECTS}

    with acting_under(project(3)):
        (experiment,) = session.scalars(select(SqlExperiment))
        assert experiment.tags == []


def test_a_subquery_and_a_join_are_restricted(session: Session) -> None:
    inner = select(SqlMetric.run_uuid, func.row_number().over().label("n")).subquery()
    with acting_under(project(1)):
        assert session.execute(select(inner.c.run_uuid)).scalars().all() == ["runs-1"]
        joined = select(SqlRun.run_uuid).join(SqlMetric, SqlMetric.run_uuid != SqlRun.run_uuid)
        assert session.execute(joined).all() == []
        exists = select(SqlRun.run_uuid).where(
            select(SqlMetric).where(SqlMetric.step == 2).exists()
        )
        assert session.execute(exists).all() == []


def test_updates_and_deletes_in_bulk_are_restricted(session: Session) -> None:
    with acting_under(project(1)):
        session.execute(update(SqlRun).values(name="renamed"))
        session.execute(delete(SqlLoggedModelTag))
        session.query(SqlMetric).delete()
    with acting_under(everything(*PROJECTS)):
        named = session.scalars(select(SqlRun.name).order_by(SqlRun.run_uuid)).all()
        assert named == ["renamed", "runs-2", "runs-3"]
        assert len(session.scalars(select(SqlLoggedModelTag)).all()) == 2
        assert len(session.scalars(select(SqlMetric)).all()) == 2


def test_one_compiled_statement_serves_every_project(session: Session, engine: Engine) -> None:
    seen: list[str] = []

    def record(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine, "before_cursor_execute", record)
    try:
        for number in PROJECTS:
            with acting_under(project(number)):
                assert session.scalars(select(SqlRun.run_uuid)).all() == [f"runs-{number}"]
    finally:
        event.remove(engine, "before_cursor_execute", record)
    assert len(set(seen)) == len(PROJECTS)


def test_a_statement_past_the_orm_is_refused(session: Session) -> None:
    with acting_under(project(1)), pytest.raises(PermissionError):
        session.execute(select(SqlRun.__table__.c.run_uuid))


def test_composite_keys_are_matched_on_all_columns() -> None:
    composite = rows.key_to_workspace(table_of(mapped()["span_metrics"]))
    assert composite is not None
    assert [element.parent.name for element in composite.elements] == ["trace_id", "span_id"]
    lonely = Table("lonely", MetaData(), Column("id", Integer, primary_key=True))
    assert rows.key_to_workspace(lonely) is None


def _is_of(row: Any, number: int) -> bool:
    """Tell whether a row is the one of this project."""
    (primary, *_) = [row.__dict__[key] for key in row.__dict__ if key in _primary(row)] or [None]
    values = [value for key, value in vars(row).items() if key in _primary(row)]
    return all(str(value).endswith(str(number)) or value == number for value in values) and (
        primary is not None
    )


def _primary(row: Any) -> set[str]:
    return {column.key for column in row.__mapper__.primary_key}
