"""Rows of evaluation that name other rows without a foreign key, over a database of projects."""

from typing import Any

import pytest
from mlflow.entities import DatasetRecordSourceType
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import (
    SqlAssessments,
    SqlEntityAssociation,
    SqlEvaluationDatasetRecord,
    SqlIssue,
    SqlReviewQueueItem,
    SqlReviewQueueLabelSchema,
)
from sqlalchemy.orm import Session

from extauthz.plugin.context import acting_under
from tests.servers.mlflow import project

NOW = {"creation_time_ms": 1, "last_update_time_ms": 1}


def _link(**changed: Any) -> SqlEntityAssociation:
    dataset = {"source_type": "evaluation_dataset", "source_id": "evaluation_datasets-1"}
    experiment = {"destination_type": "experiment", "destination_id": "1"}
    return SqlEntityAssociation(**dataset | experiment | changed)


def _record(source_type: object = None, source_id: str | None = None) -> SqlEvaluationDatasetRecord:
    source = {"source_type": source_type, "source_id": source_id}
    return SqlEvaluationDatasetRecord(
        dataset_id="evaluation_datasets-1", inputs={}, input_hash="x", **source
    )


def _item(**changed: Any) -> SqlReviewQueueItem:
    item = {"queue_id": "review_queues-1", "item_type": "trace", "item_id": "trace_info-1"}
    return SqlReviewQueueItem(**{**item, "status": "pending"} | NOW | changed)


def _question(schema_id: str) -> SqlReviewQueueLabelSchema:
    return SqlReviewQueueLabelSchema(queue_id="review_queues-1", schema_id=schema_id)


def _issue(**changed: Any) -> SqlIssue:
    row = {"issue_id": "new", "experiment_id": 1, "name": "n", "description": "d", "status": "s"}
    return SqlIssue(**row | {"created_timestamp": 1, "last_updated_timestamp": 1} | changed)


def _assessment(kind: str, name: str) -> SqlAssessments:
    of = {"assessment_id": "new", "trace_id": "trace_info-1", "assessment_type": kind}
    at = {"created_timestamp": 1, "last_updated_timestamp": 1, "source_type": "HUMAN"}
    return SqlAssessments(name=name, value="{}", valid=True, is_numeric_value=False, **of | at)


@pytest.mark.parametrize(
    "row",
    [
        _link,
        _record,
        lambda: _record("TRACE", "trace_info-1"),
        lambda: _record(DatasetRecordSourceType.TRACE, "trace_info-1"),
        lambda: _record("HUMAN", "ann"),
        lambda: _record(DatasetRecordSourceType.DOCUMENT, "a page"),
        _item,
        lambda: _question("label_schemas-1"),
        _issue,
        lambda: _issue(source_run_id="runs-1"),
        lambda: _assessment("issue", "issues-1"),
        lambda: _assessment("feedback", "issues-2"),
    ],
)
def test_rows_of_the_project_are_written(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        session.flush()


@pytest.mark.parametrize(
    "row",
    [
        lambda: _link(source_id="evaluation_datasets-2"),
        lambda: _link(destination_id="2"),
        lambda: _link(destination_id="01"),
        lambda: _link(destination_id=" 1"),
        lambda: _link(destination_id="１"),  # noqa: RUF001 - a digit to Python
        lambda: _link(destination_id="x"),
        lambda: _link(destination_id="9" * 30),
        lambda: _link(destination_type="something new"),
        lambda: _record("TRACE", "trace_info-2"),
        lambda: _record(DatasetRecordSourceType.TRACE, "trace_info-2"),
        lambda: _record("SOMETHING NEW", "trace_info-1"),
        lambda: _item(queue_id="review_queues-2"),
        lambda: _item(item_id="trace_info-2"),
        lambda: _item(item_type="session"),
        lambda: _question("label_schemas-2"),
        lambda: _question("no such schema"),
        lambda: _issue(experiment_id=2),
        lambda: _issue(source_run_id="runs-2"),
        lambda: _assessment("issue", "issues-2"),
        lambda: _assessment("something new", "x"),
    ],
)
def test_rows_that_name_something_of_another_project_are_not(session: Session, row: Any) -> None:
    with acting_under(project(1)):
        session.add(row())
        with pytest.raises(MlflowException) as refused:
            session.flush()
    assert refused.value.get_http_status_code() == 404


def test_links_are_not_saved_in_bulk(session: Session) -> None:
    """As MLflow 3.17 adds experiments to a dataset, unchecked."""
    with acting_under(project(1)), pytest.raises(PermissionError):
        session.bulk_save_objects([_link(destination_id="2")])
