"""The row criteria, over a database in which every table that MLflow maps has rows of projects."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlExperimentTag,
    SqlLoggedModelTag,
    SqlMetric,
    SqlRun,
    SqlTag,
)
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    column,
    create_mock_engine,
    delete,
    event,
    exists,
    func,
    insert,
    inspect,
    select,
    text,
    true,
    update,
)
from sqlalchemy.orm import (
    Query,
    Session,
    aliased,
    joinedload,
    lazyload,
    registry,
    selectinload,
    subqueryload,
)

from extauthz.grant import Grant, View
from extauthz.plugin import rows
from extauthz.plugin.context import acting_under
from extauthz.plugin.tables import mapped, table_of
from tests.mlflow_rows import PROJECTS, Database, Restricted
from tests.servers.mlflow import everything, project

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
def test_a_project_sees_its_own_rows(session: Session, database: Database, name: str) -> None:
    entity = mapped()[name].class_
    columns = [attribute.class_attribute for attribute in mapped()[name].column_attrs]
    with acting_under(project(2)):
        (row,) = session.scalars(select(entity))
        (same,) = session.scalars(select(aliased(entity)))
        count = session.query(func.count()).select_from(entity).scalar()
        plain = session.execute(select(*columns)).all()

    assert row is same
    assert _owners(database, name, [row]) == [2]
    assert count == len(plain) == 1


@pytest.mark.parametrize("name", REACHABLE)
def test_the_global_view_sees_the_rows_of_the_granted_projects(
    session: Session, database: Database, name: str
) -> None:
    with acting_under(everything(1, 3)):
        found = session.scalars(select(mapped()[name].class_)).all()

    assert _owners(database, name, found) == [1, 3]
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


def test_a_thread_of_its_own_sees_no_rows(database: Database) -> None:
    found: list[Any] = []

    def work() -> None:
        with Restricted(database.engine) as opened:
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
        assert named == ["renamed", None, None]
        assert len(session.scalars(select(SqlLoggedModelTag)).all()) == 2
        assert len(session.scalars(select(SqlMetric)).all()) == 2


@contextmanager
def executed(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def record(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", record)


def test_one_compiled_statement_serves_every_project(session: Session, database: Database) -> None:
    with executed(database) as seen:
        for number in PROJECTS:
            with acting_under(project(number)):
                assert session.scalars(select(SqlRun.run_uuid)).all() == [f"runs-{number}"]
    assert len(set(seen)) == 1


def test_one_compiled_statement_serves_all_who_see_several(
    session: Session, database: Database
) -> None:
    for numbers in ((1, 2), (2, 3), (3,), ()):
        with acting_under(everything(*numbers)):
            found = session.scalars(select(SqlRun.run_uuid).order_by(SqlRun.run_uuid)).all()
            assert found == [f"runs-{number}" for number in numbers]


@pytest.mark.parametrize("load", [lazyload, selectinload])
def test_children_of_a_row_that_was_let_through_are_not_judged_again(
    session: Session, database: Database, load: Any
) -> None:
    with acting_under(project(2)), executed(database) as seen:
        (run,) = session.scalars(select(SqlRun).options(load(SqlRun.tags)))
        assert [tag.key for tag in run.tags] == ["tags-2"]
    of_runs, of_tags = seen
    assert "EXISTS" in of_runs
    assert "EXISTS" not in of_tags


def test_what_is_joined_to_children_is_judged(session: Session, database: Database) -> None:
    with acting_under(project(2)), executed(database) as seen:
        further = selectinload(SqlRun.tags).joinedload(SqlTag.run)
        (run,) = session.scalars(select(SqlRun).options(further))
        assert [tag.key for tag in run.tags] == ["tags-2"]
    assert "EXISTS" in seen[1]


def test_a_parent_is_judged_like_any_other_row(session: Session, database: Database) -> None:
    with acting_under(project(2)), executed(database) as seen:
        (tag,) = session.scalars(select(SqlTag).options(selectinload(SqlTag.run)))
        assert tag.run.run_uuid == "runs-2"
    assert all("EXISTS" in statement for statement in seen)


def test_a_statement_is_under_the_criteria_of_one_view(session: Session) -> None:
    of_both = select(SqlRun).options(
        rows.RowCriteria(rows.single()), rows.RowCriteria(rows.several())
    )
    with pytest.raises(PermissionError):
        of_both.compile()


_RUNS = SqlRun.__table__
_FROM_ANYWHERE = ["run_uuid", "key", "value"], select(SqlRun.run_uuid, SqlRun.name, SqlRun.user_id)


@pytest.mark.parametrize(
    "statement",
    [
        select(_RUNS.c.run_uuid),
        select(func.count()).select_from(_RUNS),
        update(_RUNS).values(name="renamed"),
        delete(_RUNS),
        text("SELECT * FROM runs"),
        text("SELECT run_uuid FROM runs").columns(column("run_uuid")),
        text("DELETE FROM runs"),
        select(SqlRun).from_statement(text("SELECT * FROM runs")),
        select(SqlRun).from_statement(select(_RUNS)),
        insert(SqlTag).from_select(*_FROM_ANYWHERE),
        insert(SqlTag.__table__).from_select(*_FROM_ANYWHERE),
    ],
)
def test_a_statement_that_no_criteria_reach_is_refused(session: Session, statement: Any) -> None:
    with acting_under(project(1)), pytest.raises(PermissionError):
        session.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        Query(SqlRun).with_entities(*_RUNS.c).statement,
        Query(SqlRun).with_entities(func.count(_RUNS.c.run_uuid)).statement,
        select(SqlExperiment.name).join(_RUNS, true()),
        select(SqlExperiment).where(exists(select(_RUNS.c.run_uuid))),
        select(SqlExperiment).where(SqlExperiment.name.in_(select(_RUNS.alias().c.name))),
    ],
)
def test_a_select_that_names_a_table_but_not_its_class_is_refused(
    session: Session, statement: Any
) -> None:
    with acting_under(project(1)), pytest.raises(PermissionError, match="reach runs"):
        session.execute(statement)


def test_columns_of_a_table_are_selected_under_a_condition_on_its_class(session: Session) -> None:
    columns = Query(SqlRun).with_entities(_RUNS.c.run_uuid).filter(SqlRun.run_uuid.is_not(None))
    with acting_under(project(1)):
        assert session.scalars(columns.statement).all() == ["runs-1"]


def test_rows_are_not_updated_by_their_keys_alone(session: Session) -> None:
    rows_of_others = [{"run_uuid": "runs-2", "name": "renamed"}]
    with acting_under(project(1)):
        with pytest.raises(PermissionError):
            session.execute(update(SqlRun), rows_of_others)
        with pytest.raises(PermissionError):
            session.bulk_update_mappings(inspect(SqlRun), rows_of_others)
        with pytest.raises(PermissionError):
            session.bulk_insert_mappings(inspect(SqlRun), rows_of_others)
        with pytest.raises(PermissionError):
            session.bulk_save_objects([SqlRun(run_uuid="new", experiment_id=2)])
    with acting_under(project(2)):
        assert session.scalars(select(SqlRun.name)).all() == [None]


def test_settings_of_the_database_are_made(session: Session) -> None:
    session.execute(text("PRAGMA foreign_keys = ON;"))


def test_postgresql_does_not_turn_the_criteria_into_joins() -> None:
    """It plans a filter by 60 tags for a minute then."""
    restricted = select(SqlMetric).options(rows.RowCriteria(rows.several()))
    text = str(restricted.compile(create_mock_engine("postgresql://", print)))

    assert text.count("EXISTS (SELECT") == text.count("OFFSET") == 2


@pytest.mark.parametrize(
    "statement",
    [
        select(SqlRun),
        select(aliased(SqlRun)),
        select(SqlRun.name),
        update(SqlRun).values(name="renamed"),
        delete(SqlRun),
    ],
)
def test_statements_that_are_built_further_keep_the_criteria(statement: Any) -> None:
    restricted = statement.options(rows.RowCriteria(rows.several()))
    assert "workspace IN" in str(restricted)
    if statement.is_select:
        assert "workspace IN" in str(restricted.with_only_columns(SqlRun.user_id))


def test_sqlalchemy_must_apply_the_criteria() -> None:
    class Ignored(rows.RowCriteria):
        def process_compile_state(self, compile_state: Any) -> None:
            """Do nothing, as a later version of SQLAlchemy might."""

    with pytest.raises(RuntimeError):
        rows._prove(Ignored(rows.single()))


def test_only_tables_can_be_restricted() -> None:
    class Odd:
        pass

    inner = select(SqlRun.run_uuid).subquery()
    odd = registry().map_imperatively(Odd, inner, primary_key=[inner.c.run_uuid])
    with pytest.raises(TypeError):
        table_of(odd)


def test_composite_keys_are_matched_on_all_columns() -> None:
    composite = rows.key_to_workspace(table_of(mapped()["span_metrics"]))
    assert composite is not None
    assert [element.parent.name for element in composite.elements] == ["trace_id", "span_id"]
    lonely = Table("lonely", MetaData(), Column("id", Integer, primary_key=True))
    assert rows.key_to_workspace(lonely) is None


def _owners(database: Database, name: str, found: Sequence[Any]) -> list[int]:
    """Return the projects whose rows these are."""
    keys = [column.name for column in mapped()[name].primary_key]
    wanted = [tuple(getattr(row, key) for key in keys) for row in found]
    return sorted(
        number
        for number, written in database.rows.items()
        for key in wanted
        if key == tuple(written[name][column] for column in keys)
    )
