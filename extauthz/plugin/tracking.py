"""MLflow's tracking store: one workspace in a project, all granted ones in the global view.

MLflow's own cannot span several workspaces in one request. In the global view the criteria of
`rows` are the filter.
"""

from typing import Any

from mlflow.store.tracking.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceTracking,
)

from extauthz.grant import View
from extauthz.plugin.context import in_view
from extauthz.plugin.evaluation import Evaluation
from extauthz.plugin.traces import Traces
from extauthz.plugin.writes import check_tags


class Tracking(Traces, Evaluation):
    """Experiments, runs and logged models, and what evaluates them."""

    def _get_query(self, session: Any, model: type) -> Any:
        if in_view(View.GLOBAL):
            return super(WorkspaceTracking, self)._get_query(session, model)
        return super()._get_query(session, model)

    def _experiment_where_clauses(self) -> list[Any]:
        return [] if in_view(View.GLOBAL) else super()._experiment_where_clauses()

    def _filter_experiment_ids(self, *args: Any, **kwargs: Any) -> Any:
        if in_view(View.GLOBAL):
            return super(WorkspaceTracking, self)._filter_experiment_ids(*args, **kwargs)
        return super()._filter_experiment_ids(*args, **kwargs)

    def _filter_entity_ids(self, *args: Any, **kwargs: Any) -> Any:
        if in_view(View.GLOBAL):
            return super(WorkspaceTracking, self)._filter_entity_ids(*args, **kwargs)
        return super()._filter_entity_ids(*args, **kwargs)

    def _validate_run_accessible(self, session: Any, run_id: str) -> None:
        if in_view(View.GLOBAL):
            self._get_run(session, run_id)
        else:
            super()._validate_run_accessible(session, run_id)

    def log_batch(self, run_id: str, metrics: list[Any], params: Any, tags: list[Any]) -> None:
        """Log a batch whole or not at all: MLflow commits its parts one after the other."""
        check_tags(tag.key for tag in tags)
        for model_id in {metric.model_id for metric in metrics if metric.model_id}:
            self.get_logged_model(model_id, allow_deleted=True)
        super().log_batch(run_id, metrics, params, tags)

    def set_logged_model_tags(self, model_id: str, tags: list[Any]) -> None:
        """Set tags, which MLflow writes past its sessions here, so that `writes` sees none."""
        check_tags(tag.key for tag in tags)
        super().set_logged_model_tags(model_id, tags)
