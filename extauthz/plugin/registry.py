"""MLflow's registry store: one workspace in a project, all granted ones in the global view."""

from typing import Any

from mlflow.server.handlers import _get_tracking_store
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
from mlflow.store.model_registry.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceRegistry,
)

from extauthz.grant import View
from extauthz.plugin.context import in_view

Page = Any
"""A page of MLflow's entities, with the token of the next."""


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
