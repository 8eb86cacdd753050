"""Evaluation in MLflow's tracking store: datasets, scorers, issues, label schemas, review queues.

MLflow's own store looks for them in one workspace, and `writes` checks the rows that it adds. Here
is what goes past that, what writes while it reads, and what says 200 or 500 where nothing is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask import Response, abort
from mlflow.entities.entity_type import EntityAssociationType
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlEntityAssociation
from mlflow.store.tracking.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceTracking,
)
from mlflow.utils.time import get_current_time_millis
from mlflow.utils.validation import _parse_experiment_ids

from extauthz.levels import Role
from extauthz.plugin.context import current


class Evaluation(WorkspaceTracking):  # type: ignore[misc] # MLflow is untyped
    """Evaluation datasets, scorers, issues, label schemas and review queues."""

    def add_dataset_to_experiments(self, dataset_id: str, experiment_ids: Sequence[str]) -> Any:
        """Link a dataset to experiments, all or none, by rows that `writes` checks.

        MLflow saves them in bulk, which nothing checks, after it compared ids as text with ids as
        numbers, which PostgreSQL refuses.
        """
        wanted = [str(number) for number in _parse_experiment_ids(experiment_ids)]
        self.get_dataset(dataset_id)
        linked = super().get_dataset_experiment_ids(dataset_id)
        with self.ManagedSessionMaker(read_only=False) as session:
            dataset = self._dataset_query(session).filter_by(dataset_id=dataset_id).one()
            session.add_all(_link(dataset_id, each) for each in {*wanted} - {*linked})
            dataset.last_update_time = get_current_time_millis()
            session.flush()
            return dataset.to_mlflow_entity()

    def get_dataset_experiment_ids(self, dataset_id: str) -> list[str]:
        """Return the experiments of a dataset that is there; MLflow has none for any other."""
        with _answered():
            self.get_dataset(dataset_id)
            return list(super().get_dataset_experiment_ids(dataset_id))

    def _load_dataset_records(
        self, dataset_id: str, max_results: int | None = None, page_token: str | None = None
    ) -> Any:
        with _answered():
            # As in each of MLflow's other lists, so that nobody has all of them at once.
            self._validate_max_results_param(max_results, allow_null=True)
            return super()._load_dataset_records(dataset_id, max_results, page_token)

    def search_datasets(
        self, experiment_ids: Sequence[str] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Search by experiments that are numbers (400, not 500)."""
        _parse_experiment_ids(experiment_ids or ())
        return super().search_datasets(experiment_ids, *args, **kwargs)

    def delete_dataset(self, dataset_id: str) -> None:
        """Delete a dataset that is there."""
        self.get_dataset(dataset_id)
        super().delete_dataset(dataset_id)

    def delete_dataset_tag(self, dataset_id: str, key: str) -> None:
        """Delete a tag of a dataset that is there."""
        self.get_dataset(dataset_id)
        super().delete_dataset_tag(dataset_id, key)

    def delete_label_schema(self, schema_id: str) -> None:
        """Delete a label schema that is there."""
        self.get_label_schema(schema_id)
        super().delete_label_schema(schema_id)

    def delete_review_queue(self, queue_id: str) -> None:
        """Delete a review queue that is there."""
        self.get_review_queue(queue_id)
        super().delete_review_queue(queue_id)

    def _ensure_default_label_schema(self, session: Any, experiment_id: str) -> None:
        # Listing them creates the first; a reader's request lists what is there.
        grant = current()
        if grant is not None and grant.role is Role.WRITE:
            super()._ensure_default_label_schema(session, experiment_id)

    def create_review_queue(
        self, experiment_id: str, *, created_by: str | None = None, **kwargs: Any
    ) -> Any:
        """Create a queue of the caller's own, as MLflow does where it knows who calls."""
        owner = created_by or _caller()
        return super().create_review_queue(experiment_id, created_by=owner, **kwargs)

    def set_review_queue_item_status(
        self, queue_id: str, *, completed_by: str | None = None, **kwargs: Any
    ) -> Any:
        """Set a status; who has completed an item is the caller, not whom the request names."""
        reviewer = completed_by and (_caller() or completed_by)
        return super().set_review_queue_item_status(queue_id, completed_by=reviewer, **kwargs)


def _link(dataset_id: str, experiment_id: str) -> SqlEntityAssociation:
    return SqlEntityAssociation(
        source_type=EntityAssociationType.EVALUATION_DATASET,
        source_id=dataset_id,
        destination_type=EntityAssociationType.EXPERIMENT,
        destination_id=experiment_id,
    )


def _caller() -> str | None:
    """Return the caller's name at the provider, None if that does not tell it."""
    grant = current()
    return grant.name or None if grant is not None else None


@contextmanager
def _answered() -> Iterator[None]:
    """Answer the request with MLflow's exception: two of its handlers make a 500 of each."""
    try:
        yield
    except MlflowException as error:
        status = error.get_http_status_code()
        abort(Response(error.serialize_as_json(), status, mimetype="application/json"))
