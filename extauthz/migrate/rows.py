"""Rows: what hangs below experiments and models; counted, and its addresses checked and rewritten.

The addresses that MLflow makes by itself follow from ids, so they are compared and written as a
whole, inside of the database.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, TypeVar

from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from mlflow.store.tracking.dbmodels.models import (
    SqlLoggedModel,
    SqlRun,
    SqlTraceInfo,
    SqlTraceTag,
)
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION, MLFLOW_TRACE_ARCHIVE_LOCATION
from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    cast,
    func,
    literal,
    select,
    update,
)

from extauthz.migrate.content import DATASETS, EXPERIMENTS, MODELS
from extauthz.migrate.locations import PROXY, Roots, folder_of

_RUNS: Final[Any] = SqlRun.__table__
_LOGGED: Final[Any] = SqlLoggedModel.__table__
_TRACES: Final[Any] = SqlTraceInfo.__table__
_TRACE_TAGS: Final[Any] = SqlTraceTag.__table__
_VERSIONS: Final[Any] = SqlModelVersion.__table__
_OF_EXPERIMENTS: Final = {"runs": _RUNS, "traces": _TRACES, "logged models": _LOGGED}
_OF_MODELS: Final[dict[str, Any]] = {
    "models": MODELS,
    "model versions": _VERSIONS,
    "aliases": SqlRegisteredModelAlias.__table__,
    "model tags": SqlRegisteredModelTag.__table__,
    "version tags": SqlModelVersionTag.__table__,
}
_LOCATING_TAGS: Final = (MLFLOW_ARTIFACT_LOCATION, MLFLOW_TRACE_ARCHIVE_LOCATION)
# Well below what a database takes as parameters.
_AT_ONCE: Final = 500

T = TypeVar("T")
Key = tuple[str, int]


def few(items: Collection[T]) -> Iterator[list[T]]:
    """Yield the items, as many at once as one statement takes."""
    listed = list(items)
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start : start + _AT_ONCE]


def tally(
    connection: Connection,
    workspace: str,
    *,
    experiments: Collection[int],
    models: Collection[str],
    datasets: Collection[str],
) -> Counter[str]:
    """Count those of them that are in a workspace, and what hangs below."""
    counts = Counter[str]()
    for ids in few(experiments):
        here = and_(EXPERIMENTS.c.workspace == workspace, EXPERIMENTS.c.experiment_id.in_(ids))
        counts["experiments"] += _count(connection, EXPERIMENTS, here)
        for name, table in _OF_EXPERIMENTS.items():
            counts[name] += _count(connection, _with_experiment(table), here)
    for names in few(models):
        for name, table in _OF_MODELS.items():
            of_them = and_(table.c.workspace == workspace, table.c.name.in_(names))
            counts[name] += _count(connection, table, of_them)
    for keys in few(datasets):
        of_them = and_(DATASETS.c.workspace == workspace, DATASETS.c.dataset_id.in_(keys))
        counts["datasets"] += _count(connection, DATASETS, of_them)
    return counts


def misplaced(
    connection: Connection,
    roots: Roots,
    workspace: str,
    experiments: Collection[int] | None = None,
) -> dict[int, str]:
    """Return an address of each experiment that has one which is not its own place."""
    here = EXPERIMENTS.c.workspace == workspace
    if experiments is None:
        return _misplaced(connection, roots, workspace, here)
    found: dict[int, str] = {}
    for ids in few(experiments):
        of_them = and_(here, EXPERIMENTS.c.experiment_id.in_(ids))
        found |= _misplaced(connection, roots, workspace, of_them)
    return found


def readdress(connection: Connection, workspace: str, experiments: Collection[int]) -> None:
    """Have what hangs below experiments say that its files are where this workspace has them."""
    for ids in few(experiments):
        place = _place(f"{PROXY}{folder_of(workspace)}", _RUNS)
        connection.execute(
            update(_RUNS)
            .where(_RUNS.c.experiment_id.in_(ids), _RUNS.c.artifact_uri.is_not(None))
            .values(artifact_uri=_of_run(place))
        )
        place = _place(f"{PROXY}{folder_of(workspace)}", _LOGGED)
        connection.execute(
            update(_LOGGED)
            .where(_LOGGED.c.experiment_id.in_(ids))
            .values(artifact_location=_of_logged(place))
        )
        traces = select(_TRACES.c.request_id).where(_TRACES.c.experiment_id.in_(ids))
        # MLflow's place of a trace, or of one that it archived there.
        experiment = (
            select(_place(f"{PROXY}{folder_of(workspace)}", _TRACES))
            .where(_TRACES.c.request_id == _TRACE_TAGS.c.request_id)
            .scalar_subquery()
        )
        connection.execute(
            update(_TRACE_TAGS)
            .where(_TRACE_TAGS.c.key.in_(_LOCATING_TAGS), _TRACE_TAGS.c.request_id.in_(traces))
            .values(value=_of_trace(experiment))
        )


Settled = Callable[[str | None], str | None]


def unsettled(
    connection: Connection, workspace: str, models: Collection[str] | None, settle: Settled
) -> dict[str, str]:
    """Return an address of each model that has one which does not bear moving."""
    found: dict[str, str] = {}
    for row in _versions(connection, workspace, models):
        try:
            settle(row.source)
            settle(row.storage_location)
        except ValueError as error:
            found.setdefault(row.name, f"version {row.version} comes from {error}")
    return found


def resettle(
    connection: Connection, workspace: str, models: Collection[str], settle: Settled
) -> None:
    """Rewrite the addresses that the versions of models in a workspace come from."""
    changed = [
        {
            "model": row.name,
            "number": row.version,
            "source": settle(row.source),
            "storage_location": settle(row.storage_location),
        }
        for row in _versions(connection, workspace, models)
        if (settle(row.source), settle(row.storage_location)) != (row.source, row.storage_location)
    ]
    if changed:
        connection.execute(
            update(_VERSIONS).where(
                _VERSIONS.c.workspace == workspace,
                _VERSIONS.c.name == bindparam("model"),
                _VERSIONS.c.version == bindparam("number"),
            ),
            changed,
        )


def _versions(
    connection: Connection, workspace: str, models: Collection[str] | None
) -> Iterator[Any]:
    columns = select(
        _VERSIONS.c.name, _VERSIONS.c.version, _VERSIONS.c.source, _VERSIONS.c.storage_location
    ).where(_VERSIONS.c.workspace == workspace)
    if models is None:
        yield from connection.execute(columns)
        return
    for names in few(models):
        yield from connection.execute(columns.where(_VERSIONS.c.name.in_(names)))


def _misplaced(
    connection: Connection, roots: Roots, workspace: str, here: ColumnElement[bool]
) -> dict[int, str]:
    prefixes = [f"{root}{folder_of(workspace)}" for root in roots.uris]
    if PROXY not in prefixes:
        # As rows that MLflow's own mover has brought here say: the proxy finds it all the same.
        prefixes.append(PROXY)
    tags = _TRACES.join(_TRACE_TAGS, _TRACE_TAGS.c.request_id == _TRACES.c.request_id)
    checked = (
        (EXPERIMENTS, EXPERIMENTS, EXPERIMENTS.c.artifact_location, _itself),
        (_RUNS, _with_experiment(_RUNS), _RUNS.c.artifact_uri, _of_run),
        (_LOGGED, _with_experiment(_LOGGED), _LOGGED.c.artifact_location, _of_logged),
        (_TRACES, _joined(tags, _TRACES), _TRACE_TAGS.c.value, _of_trace),
    )
    found: dict[int, str] = {}
    for table, rows, address, own in checked:
        elsewhere = and_(*(address != own(_place(prefix, table)) for prefix in prefixes))
        wanted = here if table is not _TRACES else and_(here, _TRACE_TAGS.c.key.in_(_LOCATING_TAGS))
        statement = (
            select(table.c.experiment_id, func.min(address))
            .select_from(rows)
            .where(wanted, elsewhere)
            .group_by(table.c.experiment_id)
        )
        for experiment, example in connection.execute(statement):
            found.setdefault(experiment, example)
    return found


def _count(connection: Connection, rows: Any, where: ColumnElement[bool]) -> int:
    return int(connection.scalar(select(func.count()).select_from(rows).where(where)) or 0)


def _with_experiment(table: Any) -> Any:
    return _joined(table, table)


def _joined(rows: Any, table: Any) -> Any:
    return rows.join(EXPERIMENTS, EXPERIMENTS.c.experiment_id == table.c.experiment_id)


# A SQL expression; its operators are untyped.
Place = Any


def _place(prefix: str, table: Any) -> Place:
    """Return the address of the experiment that a row belongs to."""
    return literal(prefix) + cast(table.c.experiment_id, String)


def _itself(place: Place) -> Place:
    return place


def _of_run(place: Place) -> Place:
    return place + "/" + _RUNS.c.run_uuid + "/artifacts"


def _of_logged(place: Place) -> Place:
    return place + "/models/" + _LOGGED.c.model_id + "/artifacts"


def _of_trace(place: Place) -> Place:
    return place + "/traces/" + _TRACE_TAGS.c.request_id + "/artifacts"
