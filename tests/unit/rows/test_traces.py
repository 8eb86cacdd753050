"""Traces over a database with rows of several projects: what a session shows of them, and takes."""

from importlib import import_module
from typing import Any

import pytest
from mlflow.entities.entity_type import EntityAssociationType
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import (
    SqlAssessments,
    SqlEntityAssociation,
    SqlSpan,
    SqlTag,
    SqlTraceInfo,
    SqlTraceMetadata,
    SqlTraceTag,
)
from sqlalchemy.orm import Session

from extauthz.grant import Why
from extauthz.levels import Role
from extauthz.plugin.context import acting_under
from extauthz.plugin.writes import Location
from tests.servers.mlflow import everything, project

# After `mlflow_rows`, which knows of what SQLAlchemy warns there.
stored = import_module("mlflow.store.tracking.sqlalchemy_store")

FILES, SPANS = "mlflow.artifactLocation", "mlflow.trace.spansLocation"


def _tag(key: str, value: str, **changed: Any) -> SqlTraceTag:
    return SqlTraceTag(**{"request_id": "trace_info-1", "key": key, "value": value} | changed)


def _assessment(**changed: Any) -> SqlAssessments:
    row = {"assessment_id": "new", "trace_id": "trace_info-1", "name": "n", "value": "1"}
    times = {"created_timestamp": 1, "last_updated_timestamp": 1}
    more = {"assessment_type": "feedback", "source_type": "HUMAN", "valid": True}
    return SqlAssessments(**row | times | more | changed)


def _link(**changed: Any) -> SqlEntityAssociation:
    row = {"association_id": "new", "source_type": EntityAssociationType.TRACE}
    ends = {"source_id": "trace_info-1", "destination_type": EntityAssociationType.PROMPT_VERSION}
    return SqlEntityAssociation(**row | ends | {"destination_id": "prompt/1"} | changed)


def _span(trace_id: str) -> dict[str, Any]:
    times = {"start_time_unix_nano": 1, "end_time_unix_nano": 2}
    row = {"trace_id": trace_id, "span_id": "new", "experiment_id": 1, "status": "OK"}
    return row | times | {"content": "{}"}


def test_a_condition_on_the_class_lets_the_criteria_reach_columns_of_the_table(
    session: Session,
) -> None:
    """MLflow searches for columns of the table; `traces` adds this condition."""
    on_the_class = SqlTraceInfo.request_id.is_not(None)
    with acting_under(everything(1, 3)):
        found = session.query(SqlTraceInfo).filter(on_the_class)
        columns = found.with_entities(*stored._TRACE_INFO_COLUMNS).all()

    assert sorted(row.request_id for row in columns) == ["trace_info-1", "trace_info-3"]


@pytest.mark.parametrize(
    "row",
    [
        lambda: _tag("colour", "red"),
        lambda: _tag(FILES, Location("mlflow-artifacts:/workspaces/p1/1/traces/x/artifacts")),
        lambda: _tag(SPANS, "TRACKING_STORE"),
        _assessment,
        lambda: _assessment(run_id="runs-1", experiment_id=1),
        _link,
        lambda: _link(destination_type=EntityAssociationType.RUN, destination_id="runs-1"),
    ],
)
def test_rows_of_a_trace_of_the_project_are_written(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.merge(row())
        session.flush()


@pytest.mark.parametrize(
    "row",
    [
        lambda: _tag(FILES, "mlflow-artifacts:/workspaces/p1/1/traces/x/artifacts"),
        lambda: _tag(SPANS, "ARCHIVE_REPO"),
        lambda: _tag("mlflow.trace.archiveLocation", "file:///etc"),
        lambda: SqlTraceMetadata(request_id="trace_info-1", key=FILES, value=Location("/")),
        lambda: SqlTag(run_uuid="runs-1", key=FILES, value=Location("/")),
    ],
)
def test_where_a_trace_is_says_mlflow_alone(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 403


@pytest.mark.parametrize(
    "row",
    [
        lambda: _tag("colour", "red", request_id="trace_info-2"),
        lambda: _assessment(trace_id="trace_info-2"),
        lambda: _assessment(run_id="runs-2"),
        lambda: _assessment(experiment_id=2),
        lambda: _link(source_id="trace_info-2"),
        lambda: _link(destination_type=EntityAssociationType.RUN, destination_id="runs-2"),
        lambda: _link(destination_type="something new"),
    ],
)
def test_rows_of_a_trace_refer_to_their_own_project(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 404


def test_an_assessment_stays_with_its_project(session: Session) -> None:
    with acting_under(project(1)):
        session.merge(_assessment(assessment_id="assessments-2"))
        with pytest.raises(Exception, match="UNIQUE"):
            session.flush()


def test_spans_are_written_past_the_session_by_writers_only(session: Session) -> None:
    reader = project(1, Role.READ, Why.GUEST)
    with acting_under(reader), pytest.raises(MlflowException):
        stored._bulk_upsert(session, SqlSpan, [_span("trace_info-1")])
    with acting_under(project(1)):
        stored._bulk_upsert(session, SqlSpan, [_span("trace_info-1")])
        assert {row.span_id for row in session.query(SqlSpan)} == {"spans-1", "new"}
        moved = {SqlTraceInfo.experiment_id: 1}
        session.query(SqlTraceInfo).update(moved, synchronize_session=False)
    with acting_under(everything(1, 2, 3)):
        assert {row.experiment_id for row in session.query(SqlTraceInfo)} == {1, 2, 3}
