"""Narrowing: in the view of everything, one object is read in the project that owns it.

What is asked for by id or by name is found among all granted projects, and from there on the
request is one in that project's view: MLflow finds names and files in one workspace only.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from mlflow.server.handlers import _get_model_registry_store, _get_tracking_store
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlLoggedModel,
    SqlRun,
    SqlTraceInfo,
)
from mlflow.utils.workspace_context import set_server_request_workspace
from sqlalchemy import Select, select

from extauthz.grant import Grant, View
from extauthz.plugin.context import narrow_to, project_of
from extauthz.plugin.refusals import Ambiguous, Malformed, Missing

_PREFIX: Final = re.compile(r"/(?:(?:ajax-)?api/)?")
_STORED: Final = re.compile(r"workspaces/(p[1-9][0-9]{0,18})/")
# As many as a message names.
_MOST_NAMED: Final = 5

Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Owner:
    """How the workspace of a named object is found.

    `parameters` are the names under which its id or name comes, of which any may be used.
    """

    parameters: tuple[str, ...]
    query: Callable[[str], Select[tuple[str]]]
    store: Callable[[], Any] = _get_tracking_store


def _of_run(run_id: str) -> Select[tuple[str]]:
    return select(SqlExperiment.workspace).join(SqlRun).where(SqlRun.run_uuid == run_id)


def _of_logged_model(model_id: str) -> Select[tuple[str]]:
    return (
        select(SqlExperiment.workspace)
        .join(SqlLoggedModel, SqlLoggedModel.experiment_id == SqlExperiment.experiment_id)
        .where(SqlLoggedModel.model_id == model_id)
    )


def _of_trace(trace_id: str) -> Select[tuple[str]]:
    return (
        select(SqlExperiment.workspace)
        .join(SqlTraceInfo, SqlTraceInfo.experiment_id == SqlExperiment.experiment_id)
        .where(SqlTraceInfo.request_id == trace_id)
    )


def _of_experiment(name: str) -> Select[tuple[str]]:
    return select(SqlExperiment.workspace).where(SqlExperiment.name == name)


def _of_registered_model(name: str) -> Select[tuple[str]]:
    return select(SqlRegisteredModel.workspace).where(SqlRegisteredModel.name == name)


_RUN: Final = Owner(("run_id", "run_uuid"), _of_run)
_LOGGED_MODEL: Final = Owner(("model_id",), _of_logged_model)
_TRACE: Final = Owner(("request_id",), _of_trace)
_REGISTERED_MODEL: Final = Owner(("name",), _of_registered_model, _get_model_registry_store)

# By path below /api/ and /ajax-api/, or whole.
OWNERS: Final[Mapping[str, Owner]] = MappingProxyType(
    {
        "2.0/mlflow/experiments/get-by-name": Owner(("experiment_name",), _of_experiment),
        "2.0/mlflow/artifacts/list": _RUN,
        "get-artifact": _RUN,
        "2.0/mlflow/logged-models/<model_id>": _LOGGED_MODEL,
        "2.0/mlflow/logged-models/<model_id>/artifacts/directories": _LOGGED_MODEL,
        "2.0/mlflow/logged-models/<model_id>/artifacts/files": _LOGGED_MODEL,
        "2.0/mlflow/get-trace-artifact": _TRACE,
        "3.0/mlflow/get-trace-artifact": _TRACE,
        "2.0/mlflow/registered-models/get": _REGISTERED_MODEL,
        "2.0/mlflow/registered-models/alias": _REGISTERED_MODEL,
        "2.0/mlflow/registered-models/get-latest-versions": _REGISTERED_MODEL,
        "2.0/mlflow/model-versions/get": _REGISTERED_MODEL,
        "2.0/mlflow/model-versions/get-download-uri": _REGISTERED_MODEL,
        "model-versions/get-artifact": _REGISTERED_MODEL,
    }
)


def owner_of(path: str) -> Owner | None:
    """Return how the object of an endpoint is found, None for one that is about many."""
    return OWNERS.get(_PREFIX.sub("", path, count=1))


def narrow(grant: Grant, owner: Owner, values: Values) -> None:
    """Let the rest of this request be one in the project of the object that it names.

    Raises Missing, Ambiguous, Malformed.
    """
    names = {value for name in owner.parameters for value in values.get(name, ())}
    if len(names) != 1:
        raise Malformed(f"Name one object, in `{owner.parameters[0]}`")
    _enter(grant, _workspaces(owner, names.pop()))


def narrow_to_stored(grant: Grant, path: str) -> None:
    """Let the rest of this request be one in the project that a stored path is in.

    Raises Missing.
    """
    found = _STORED.match(path)
    _enter(grant, [found[1]] if found and project_of(found[1]) in grant.projects else [])


def _workspaces(owner: Owner, name: str) -> list[str]:
    """Return the workspaces that have an object; the row criteria leave the granted ones."""
    query = owner.query(name).distinct().limit(_MOST_NAMED)
    with owner.store().ManagedSessionMaker() as session:
        return sorted(session.scalars(query))


def _enter(grant: Grant, workspaces: Sequence[str]) -> None:
    match workspaces:
        case []:
            raise Missing("There is no such thing in the projects that you can read")
        case [workspace]:
            narrow_to(_in_project(grant, workspace))
            set_server_request_workspace(workspace)
        case _:
            ways = ", ".join(_address(grant, workspace) for workspace in workspaces)
            raise Ambiguous(f"Several projects have this. Open it in its project: {ways}")


def _in_project(grant: Grant, workspace: str) -> Grant:
    # Its path is not known here, and nothing asks for it.
    return replace(
        grant,
        view=View.PROJECT,
        projects=(),
        project_id=project_of(workspace),
        project_path=workspace,
    )


def _address(grant: Grant, workspace: str) -> str:
    return f"{grant.links.home or '/'}auth/p/{project_of(workspace)}"
