"""What a session may write, over a database with rows of several projects."""

from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlInput,
    SqlInputTag,
    SqlLoggedModel,
    SqlLoggedModelMetric,
    SqlMetric,
    SqlRun,
    SqlTag,
)
from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from extauthz.grant import Grant, Why
from extauthz.levels import Role
from extauthz.plugin.context import acting_under
from tests.servers.mlflow import PUBLIC, SYSTEM, everything, project


def _metric(**changed: Any) -> SqlMetric:
    row = {"run_uuid": "runs-1", "key": "k", "value": 1, "timestamp": 5, "step": 5, "is_nan": False}
    return SqlMetric(**row | changed)


def _link(**changed: Any) -> SqlInput:
    ends = {
        "source_type": "RUN_OUTPUT",
        "source_id": "runs-1",
        "destination_type": "MODEL_OUTPUT",
        "destination_id": "logged_models-1",
    }
    return SqlInput(**{"input_uuid": "new", "step": 0} | ends | changed)


def _model(**changed: Any) -> SqlLoggedModel:
    row = {"model_id": "new", "experiment_id": "1", "name": "n", "artifact_location": "x"}
    more = {"creation_timestamp_ms": 1, "last_updated_timestamp_ms": 1, "status": 1}
    return SqlLoggedModel(**row | more | {"lifecycle_stage": "active"} | changed)


def _model_metric(**changed: Any) -> SqlLoggedModelMetric:
    row = {"model_id": "logged_models-1", "run_id": "runs-1", "experiment_id": 1}
    more = {"metric_name": "k", "metric_timestamp_ms": 9, "metric_step": 9, "metric_value": 1.0}
    return SqlLoggedModelMetric(**row | more | changed)


def _version(**changed: Any) -> SqlModelVersion:
    source = "models:/churn/1"
    row = {"workspace": "p1", "name": "registered_models-1", "version": 7}
    return SqlModelVersion(**row | {"source": source, "storage_location": source} | changed)


@pytest.mark.parametrize(
    "row",
    [
        _metric,
        _link,
        lambda: _link(
            source_type="DATASET",
            source_id="datasets-1",
            destination_type="RUN",
            destination_id="runs-1",
        ),
        lambda: SqlInputTag(input_uuid="inputs-1", name="new", value="v"),
        _model,
        lambda: _model(source_run_id="runs-1"),
        _model_metric,
        lambda: _model_metric(dataset_uuid="datasets-1"),
        _version,
        lambda: SqlRegisteredModel(workspace="p1", name="new"),
        lambda: SqlTag(run_uuid="runs-1", key="new", value="v"),
    ],
)
def test_rows_of_the_project_are_written(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        session.flush()


@pytest.mark.parametrize(
    "row",
    [
        lambda: _metric(run_uuid="runs-2"),
        lambda: _metric(run_uuid="no such run"),
        lambda: _link(destination_id="logged_models-2"),
        lambda: _link(source_id="runs-2"),
        lambda: _link(source_type="SOMETHING NEW"),
        lambda: SqlInputTag(input_uuid="inputs-2", name="new", value="v"),
        lambda: _model(experiment_id="2"),
        lambda: _model(source_run_id="runs-2"),
        lambda: _model_metric(model_id="logged_models-2"),
        lambda: _model_metric(run_id="runs-2"),
        lambda: _model_metric(experiment_id=2),
        lambda: _model_metric(dataset_uuid="datasets-2"),
        lambda: _version(name="registered_models-2"),
    ],
)
def test_rows_that_refer_to_another_project_are_not(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 404


@pytest.mark.parametrize(
    "row",
    [
        lambda: SqlExperiment(workspace="p2", name="new"),
        lambda: SqlExperiment(name="new"),
        lambda: SqlRegisteredModel(workspace="default", name="new"),
        lambda: SqlTag(run_uuid="runs-1", key="mlflow.artifactLocation", value="/"),
        lambda: SqlInputTag(input_uuid="inputs-1", name="mlflow.artifactLocation", value="/"),
        lambda: _version(source="s3://bucket/x"),
        lambda: _version(storage_location="/etc"),
    ],
)
def test_rows_that_leave_the_project_are_not(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 403


def test_a_row_is_not_moved_to_another_project(session: Session) -> None:
    with acting_under(project(1)):
        run = session.get_one(SqlRun, "runs-1")
        run.experiment_id = 2
        with pytest.raises(MlflowException):
            session.flush()
        session.rollback()
        experiment = session.get_one(SqlExperiment, 1)
        experiment.workspace = "p2"
        with pytest.raises(MlflowException):
            session.flush()


def test_rows_may_refer_to_rows_of_the_same_moment(session: Session) -> None:
    with acting_under(project(1)):
        session.add_all(
            [
                _link(input_uuid="both"),
                SqlInputTag(input_uuid="both", name="n", value="v"),
                _model(model_id="m"),
                _model_metric(model_id="m"),
            ]
        )
        session.flush()


def test_a_row_that_was_read_may_be_changed(session: Session) -> None:
    with acting_under(project(1)):
        run = session.get_one(SqlRun, "runs-1")
        run.name = "renamed"
        session.add(SqlTag(run_uuid="runs-1", key="k", value="v"))
        session.flush()


@pytest.mark.parametrize(
    "grant",
    [project(1, Role.READ, Why.GUEST), project(1, Role.READ), everything(1), PUBLIC, SYSTEM],
)
def test_only_the_role_write_writes(session: Session, grant: Grant) -> None:
    with acting_under(grant):
        session.add(_metric())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 403


@pytest.mark.parametrize(
    "statement",
    [
        insert(SqlTag.__table__).values(run_uuid="runs-1", key="k", value="v"),
        insert(SqlTag).values(run_uuid="runs-1", key="k", value="v"),
        update(SqlRun).values(name="renamed"),
        delete(SqlTag),
    ],
)
def test_statements_past_the_session_need_the_role_write_too(
    session: Session, statement: Any
) -> None:
    for grant in (project(1, Role.READ, Why.GUEST), everything(1)):
        with acting_under(grant), pytest.raises(MlflowException):
            session.execute(statement)
    with pytest.raises(MlflowException):
        session.execute(statement)
    with acting_under(project(1)):
        session.execute(statement)


def test_without_a_grant_nothing_is_written(session: Session) -> None:
    session.add(_metric())
    with pytest.raises(MlflowException):
        session.flush()
