"""MLflow's two stores, which filter by one workspace in a project and by none in the global view.

MLflow's own cannot span several workspaces in one request. In the global view the criteria of
`rows` are the filter.
"""

import os
from typing import Any

from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR as _REPLICA
from mlflow.server.handlers import (
    _get_model_registry_store,
    _get_tracking_store,
    _model_registry_store_registry,
    _tracking_store_registry,
)
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceRegistry,
)
from mlflow.store.tracking.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceTracking,
)
from mlflow.tracking._model_registry.utils import _get_store as client_registry
from mlflow.tracking._tracking_service.utils import _get_store as client_tracking
from sqlalchemy import Engine

from extauthz.grant import View
from extauthz.plugin.context import in_view
from extauthz.plugin.writes import check_tags

Page = Any
"""A page of MLflow's entities, with the token of the next."""


class Tracking(WorkspaceTracking):  # type: ignore[misc] # MLflow is untyped
    """Experiments, runs and logged models."""

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


class Registry(WorkspaceRegistry):  # type: ignore[misc] # MLflow is untyped
    """Registered models and their versions."""

    def _get_query(self, session: Any, model: type) -> Any:
        return session.query(model) if in_view(View.GLOBAL) else super()._get_query(session, model)

    def _get_workspace_clauses(self, model: type) -> list[Any]:
        return [] if in_view(View.GLOBAL) else super()._get_workspace_clauses(model)

    def search_registered_models(self, *args: Any, **kwargs: Any) -> Page:
        """Search as MLflow does, and give each model the latest versions of its own project.

        MLflow collects them by the model's name, which several projects may use.
        """
        page = super().search_registered_models(*args, **kwargs)
        for model in page:
            versions = model.latest_versions
            model.latest_versions = [v for v in versions if v.workspace == model.workspace]
        return page

    def create_model_version(
        self, name: str, source: str, run_id: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Create a version, if the run and the model it comes from can be seen (404, not 500)."""
        tracking = _get_tracking_store()
        if run_id:
            tracking.get_run(run_id)
        if model_id := kwargs.get("model_id"):
            tracking.get_logged_model(model_id)
        return super().create_model_version(name, source, run_id, *args, **kwargs)

    @classmethod
    def _parse_search_registered_models_order_by(cls, order_by: Any) -> list[Any]:
        # Names are unique in a workspace only, and pages need a total order.
        clauses: list[Any] = super()._parse_search_registered_models_order_by(order_by)
        return [*clauses, SqlRegisteredModel.workspace.asc()]

    @classmethod
    def _parse_search_model_versions_order_by(cls, order_by: Any) -> list[Any]:
        clauses: list[Any] = super()._parse_search_model_versions_order_by(order_by)
        return [*clauses, SqlModelVersion.workspace.asc()]


def install() -> tuple[Engine, Engine]:
    """Make MLflow's handlers use these stores; return the engines of the two databases.

    The stores that MLflow's own client code uses inside the server are opened here too, because
    opening one reads rows, which needs a grant as soon as the criteria are on.
    """
    for scheme in DATABASE_ENGINES:
        _tracking_store_registry.register(scheme, _tracking)
        _model_registry_store_registry.register(scheme, _registry)
    tracking, registry = _get_tracking_store(), _get_model_registry_store()
    client_tracking()
    client_registry()
    return tracking.engine, registry.engine


def _tracking(store_uri: str, artifact_uri: str) -> Tracking:
    return Tracking(store_uri, artifact_uri, read_db_uri=os.environ.get(_REPLICA))


def _registry(store_uri: str) -> Registry:
    return Registry(store_uri, read_db_uri=os.environ.get(_REPLICA))
