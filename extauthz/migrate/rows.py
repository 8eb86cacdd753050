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
from mlflow.utils.workspace_utils import WORKSPACES_DIR_NAME
from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
    update,
)

from extauthz.migrate.content import DATASETS, EXPERIMENTS, MODELS
from extauthz.migrate.direction import Direction
from extauthz.migrate.locations import DEFAULT, PROXY, Roots, folder_of

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
_LONGEST: Final[int] = _VERSIONS.c.source.type.length
# Well below what a database takes as parameters.
_AT_ONCE: Final = 500

T = TypeVar("T")
# A SQL expression; its operators are untyped.
Place = Any


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


def census(connection: Connection) -> dict[int, Counter[str]]:
    """Count what hangs below each experiment; the tables are read once, whatever the projects."""
    counts: dict[int, Counter[str]] = {}
    for name, table in {"experiments": EXPERIMENTS, **_OF_EXPERIMENTS}.items():
        of_it = table.c.experiment_id
        for experiment, count in connection.execute(select(of_it, func.count()).group_by(of_it)):
            counts.setdefault(experiment, Counter())[name] = count
    return counts


def astray(connection: Connection, roots: Roots, direction: Direction) -> dict[int, str]:
    """Return an address of each experiment to be moved that has one which is not its own place."""
    into = direction is Direction.INTO
    here = EXPERIMENTS.c.workspace == DEFAULT if into else EXPERIMENTS.c.workspace != DEFAULT
    return _misplaced(connection, roots, here)


def misplaced(
    connection: Connection, roots: Roots, workspace: str, experiments: Collection[int]
) -> dict[int, str]:
    """Return the same of experiments that are in a workspace."""
    found: dict[int, str] = {}
    for ids in few(experiments):
        here = and_(EXPERIMENTS.c.workspace == workspace, EXPERIMENTS.c.experiment_id.in_(ids))
        found |= _misplaced(connection, roots, here)
    return found


def readdress(connection: Connection, workspace: str, experiments: Collection[int]) -> None:
    """Have what hangs below experiments say that its files are where this workspace has them."""
    root = literal(f"{PROXY}{folder_of(workspace)}")
    for ids in few(experiments):
        connection.execute(
            update(_RUNS)
            .where(_RUNS.c.experiment_id.in_(ids), _RUNS.c.artifact_uri.is_not(None))
            .values(artifact_uri=_of_run(_place(root, _RUNS)))
        )
        connection.execute(
            update(_LOGGED)
            .where(_LOGGED.c.experiment_id.in_(ids))
            .values(artifact_location=_of_logged(_place(root, _LOGGED)))
        )
        traces = select(_TRACES.c.request_id).where(_TRACES.c.experiment_id.in_(ids))
        # MLflow's place of a trace, or of one that it archived there.
        experiment = (
            select(_place(root, _TRACES))
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
            for address in (row.source, row.storage_location):
                _check_length(settle(address))
        except ValueError as error:
            found.setdefault(row.name, f"version {row.version} comes from {error}")
    return found


def _check_length(address: str | None) -> None:
    """Refuse what PostgreSQL would refuse while it is moved, with all that moves along."""
    if address is not None and len(address) > _LONGEST:
        raise ValueError(f"{address}, which is too long")


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


def _misplaced(connection: Connection, roots: Roots, here: ColumnElement[bool]) -> dict[int, str]:
    folder: Place = case(
        (EXPERIMENTS.c.workspace == DEFAULT, ""),
        else_=literal(f"{WORKSPACES_DIR_NAME}/") + EXPERIMENTS.c.workspace + "/",
    )
    # The last is what rows say that MLflow's own mover has brought: the proxy finds it as well.
    prefixes = [*(literal(root) + folder for root in roots.uris), literal(PROXY)]
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
        # Kept from the index by keys, by which a database would read the tags of all traces.
        key = _TRACE_TAGS.c.key.concat("")
        wanted = here if table is not _TRACES else and_(here, key.in_(_LOCATING_TAGS))
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


def _place(prefix: Place, table: Any) -> Place:
    """Return the address of the experiment that a row belongs to."""
    return prefix + cast(table.c.experiment_id, String)


def _itself(place: Place) -> Place:
    return place


def _of_run(place: Place) -> Place:
    return place + "/" + _RUNS.c.run_uuid + "/artifacts"


def _of_logged(place: Place) -> Place:
    return place + "/models/" + _LOGGED.c.model_id + "/artifacts"


def _of_trace(place: Place) -> Place:
    return place + "/traces/" + _TRACE_TAGS.c.request_id + "/artifacts"
