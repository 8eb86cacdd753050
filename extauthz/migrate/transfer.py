"""The transfer of rows: one project, one transaction, by MLflow's own mover where that is right.

The mover takes only names right: with tags, it leaves aliases and the tags of versions behind. It
knows evaluation datasets by names that are not unique, so they are moved by their ids. And it
leaves the addresses in the rows as they are.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mlflow.entities import Workspace
from mlflow.store.db.workspace_move import move_resources
from mlflow.store.workspace.abstract_store import AbstractStore
from sqlalchemy import Connection, Engine, select, update

from extauthz.migrate.content import DATASETS, EXPERIMENTS
from extauthz.migrate.errors import Failed
from extauthz.migrate.locations import DEFAULT, PROXY, Roots
from extauthz.migrate.plan import Share
from extauthz.migrate.rows import few, misplaced, readdress, resettle, tally
from extauthz.migrate.survey import settling


def transfer(engine: Engine, share: Share, roots: Roots) -> None:
    """Move the rows of a share, all of them or none; raises Failed where something is amiss."""
    with engine.begin() as connection:
        before = _tally(connection, share, share.source)
        if before != Counter(share.rows):
            raise Failed(f"{share.workspace} has changed since it was planned: is MLflow running?")
        _move(connection, share)
        readdress(connection, share.target, share.experiments)
        settle = settling(roots, source=share.source, target=share.target, own=share.own)
        resettle(connection, share.target, share.models, settle)
        after = _tally(connection, share, share.target)
        if after != before:
            raise Failed(f"{share.workspace}: of {dict(before)}, {dict(after)} would arrive")
        if wrong := misplaced(connection, roots, share.target, share.experiments):
            raise Failed(f"{share.workspace}: addresses would be wrong, such as {wrong.popitem()}")


def _tally(connection: Connection, share: Share, workspace: str) -> Counter[str]:
    return tally(
        connection,
        workspace,
        experiments=share.experiments,
        models=share.models,
        datasets=share.datasets,
    )


def _move(connection: Connection, share: Share) -> None:
    names = [
        name
        for ids in few(share.experiments)
        for name in connection.scalars(
            select(EXPERIMENTS.c.name).where(EXPERIMENTS.c.experiment_id.in_(ids))
        )
    ]
    retarget = {"artifact_policy": "retarget", "default_artifact_root": PROXY}
    _by_name(connection, share, "experiments", names, **retarget)
    _by_name(connection, share, "registered_models", share.models)
    for ids in few(share.datasets):
        of_them = DATASETS.c.dataset_id.in_(ids), DATASETS.c.workspace == share.source
        connection.execute(update(DATASETS).where(*of_them).values(workspace=share.target))


def _by_name(
    connection: Connection, share: Share, kind: str, names: Sequence[str], **options: str
) -> None:
    engine, workspaces = _Within(connection), _Workspaces()
    for some in few(names):
        try:
            move_resources(
                engine, workspaces, share.source, share.target, kind, names=some, **options
            )
        except RuntimeError as error:
            raise Failed(f"{share.workspace}: {error}") from error


class _Within:
    """Has MLflow's mover work in a transaction that is open: it asks its engine for one only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> AbstractContextManager[Connection]:
        return nullcontext(self._connection)


class _Workspaces(AbstractStore):  # type: ignore[misc] # MLflow is untyped
    """Any workspace exists: the plugin knows them by its grants, and needs no table of them."""

    def list_workspaces(self) -> list[Any]:
        return []

    def get_workspace(self, workspace_name: str) -> Workspace:
        return Workspace(name=workspace_name)

    def resolve_artifact_root(
        self, default_artifact_root: str | None, workspace_name: str
    ) -> tuple[str | None, bool]:
        # The default workspace has its files directly at the root, as without workspaces.
        return default_artifact_root, workspace_name != DEFAULT
