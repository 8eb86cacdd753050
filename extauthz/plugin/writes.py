"""Writes: the rows that a session is about to write, checked as a whole before it does.

The endpoint table decides which requests may write at all. This holds where MLflow's handlers do
more than their endpoint says, and for the ids, tags and locations inside a body. Of a statement
that changes rows past the session only the role is checked here; an update or a delete changes
what the row criteria leave, and what MLflow inserts like that, tags of a logged model, `stores`
checks.
"""

from collections.abc import Iterable
from typing import Any, Final

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import SqlInputTag, SqlTraceTag
from mlflow.tracing.constant import SpansLocation, TraceTagKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, ORMExecuteState, Session

from extauthz.levels import Role
from extauthz.plugin.context import current, workspaces
from extauthz.plugin.parents import invisible, is_changed
from extauthz.plugin.refusals import Denied, Missing, Refusal
from extauthz.plugin.sources import check_source
from extauthz.plugin.tables import table_of

# Tags by which MLflow finds files: who sets one may read any file that the server can.
_RESERVED: Final = frozenset(
    {MLFLOW_ARTIFACT_LOCATION, TraceTagKey.SPANS_LOCATION, TraceTagKey.ARCHIVE_LOCATION}
)
_IN_THE_DATABASE: Final = (TraceTagKey.SPANS_LOCATION, SpansLocation.TRACKING_STORE.value)
_TAG_KEYS: Final = ("key", "tag_key")


class Location(str):
    """Where MLflow itself keeps the files of a trace; what a client sends is a plain string."""

    __slots__ = ()


def watch(sessions: type[Session]) -> None:
    """Check everything that these sessions are about to write."""
    event.listen(sessions, "before_flush", _check)
    event.listen(sessions, "do_orm_execute", _check_statement)


def check_tags(keys: Iterable[str]) -> None:
    """Refuse tags that move a location; raises MlflowException."""
    if not _RESERVED.isdisjoint(keys):
        raise as_mlflow(Denied("This tag is reserved: MLflow finds files by it"))


def as_mlflow(refusal: Refusal) -> MlflowException:
    """Return the refusal as the exception that MLflow's stores and handlers pass on."""
    return MlflowException(str(refusal), ErrorCode.Value(refusal.error_code))


def _check_statement(state: ORMExecuteState) -> None:
    """Check a statement that changes rows past the session, which it does not flush."""
    if state.is_insert or state.is_update or state.is_delete:
        _check_role()


def _check_role() -> None:
    grant = current()
    if grant is None or grant.role is not Role.WRITE:
        raise as_mlflow(Denied("Read only"))


def _check(session: Session, _context: object, _instances: object) -> None:
    _check_role()
    written = [inspect(row) for row in (*session.new, *session.dirty)]
    try:
        for state in written:
            _check_row(state)
    except Refusal as refusal:
        raise as_mlflow(refusal) from refusal
    for reference in invisible(session, written):
        raise as_mlflow(Missing(f"{reference} not found"))


def _check_row(state: InstanceState[Any]) -> None:
    (workspace,) = workspaces()
    columns, values = table_of(state.mapper).c, state.dict
    if "workspace" in columns and (state.pending or is_changed(state, columns.workspace)):
        _check_workspace(values.get("workspace"), workspace)
    if not _says_where_a_trace_is(state):
        check_tags(values[name] for name in _TAG_KEYS if name in values)
    if isinstance(state.object, SqlInputTag):
        check_tags([values["name"]])
    if state.pending and isinstance(state.object, SqlModelVersion):
        for location in (values["source"], values["storage_location"]):
            check_source(location, workspace)


def _says_where_a_trace_is(state: InstanceState[Any]) -> bool:
    """Tell whether a row is MLflow's own word for where the files or the spans of a trace are."""
    key, value = state.dict.get("key"), state.dict.get("value")
    return isinstance(state.object, SqlTraceTag) and (
        isinstance(value, Location) or (key, value) == _IN_THE_DATABASE
    )


def _check_workspace(written: str | None, own: str) -> None:
    if written != own:
        raise Denied("A request writes to its own project only")
