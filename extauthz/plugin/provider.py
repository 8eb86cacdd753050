"""MLflow's workspace provider: the workspaces are what the grant says, and nothing else."""

from collections.abc import Iterable
from typing import NoReturn

from mlflow.entities import Workspace
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.workspace.abstract_store import AbstractStore

from extauthz.plugin.context import workspaces


class GrantWorkspaces(AbstractStore):  # type: ignore[misc] # MLflow is untyped
    """Knows the workspaces of the running request."""

    def __init__(self, workspace_uri: str) -> None:
        """Take the URI that MLflow passes to every provider; this one has nothing to look up."""

    def list_workspaces(self) -> Iterable[Workspace]:
        """Return the workspaces that the running request may see."""
        return [Workspace(name=name) for name in workspaces()]

    def get_workspace(self, workspace_name: str) -> Workspace:
        """Return a workspace that the running request may see; raises MlflowException (404)."""
        if workspace_name not in workspaces():
            raise MlflowException("No such workspace", RESOURCE_DOES_NOT_EXIST)
        return Workspace(name=workspace_name)

    def get_default_workspace(self) -> NoReturn:
        """Raise NotImplementedError: without a grant there is no workspace, so no rows."""
        raise NotImplementedError
