"""Content: what the database holds, as far as it belongs to a project by itself.

Everything else hangs below an experiment or a registered model, and goes where that goes.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from mlflow.entities.entity_type import EntityAssociationType
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel, SqlRegisteredModelTag
from mlflow.store.tracking.dbmodels.models import (
    SqlEntityAssociation,
    SqlEvaluationDataset,
    SqlExperiment,
    SqlExperimentTag,
)
from sqlalchemy import Connection, and_, func, inspect, select

from extauthz.migrate.locations import DEFAULT
from extauthz.plugin.tables import mapped, table_of

EXPERIMENTS: Final[Any] = SqlExperiment.__table__
MODELS: Final[Any] = SqlRegisteredModel.__table__
DATASETS: Final[Any] = SqlEvaluationDataset.__table__
_EXPERIMENT_TAGS: Final[Any] = SqlExperimentTag.__table__
_MODEL_TAGS: Final[Any] = SqlRegisteredModelTag.__table__
_LINKS: Final[Any] = SqlEntityAssociation.__table__
# In these a project has nothing: the plugin refuses what they are for.
_NOBODYS: Final = (
    *("budget_policies", "endpoints", "guardrails", "jobs", "mcp_servers", "model_definitions"),
    *("secrets", "webhooks"),
)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment; `tag` is what it says of its project, None if it says nothing."""

    id: int
    name: str
    workspace: str
    tag: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model, or a prompt; `tag` as above."""

    name: str
    workspace: str
    tag: str | None


@dataclass(frozen=True, slots=True)
class Dataset:
    """An evaluation dataset, and the experiments that it is for."""

    id: str
    name: str
    workspace: str
    experiments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that moves by itself, of all workspaces."""

    experiments: tuple[Experiment, ...]
    models: tuple[Model, ...]
    datasets: tuple[Dataset, ...]


def read(connection: Connection, tag: str) -> Content:
    """Read what there is, in the order of ids and names."""
    return Content(
        experiments=tuple(_experiments(connection, tag)),
        models=tuple(_models(connection, tag)),
        datasets=tuple(_datasets(connection)),
    )


def nobodys(connection: Connection) -> dict[str, int]:
    """Return how many rows of the default workspace belong to no project, by their table."""
    counted = {}
    for name in _NOBODYS:
        table = table_of(mapped()[name])
        if inspect(connection).has_table(name):
            rows = select(func.count()).where(table.c.workspace == DEFAULT)
            counted[name] = int(connection.scalar(rows) or 0)
    return {name: count for name, count in counted.items() if count}


def _experiments(connection: Connection, tag: str) -> list[Experiment]:
    of_it = and_(
        _EXPERIMENT_TAGS.c.experiment_id == EXPERIMENTS.c.experiment_id,
        _EXPERIMENT_TAGS.c.key == tag,
    )
    rows = (
        select(
            EXPERIMENTS.c.experiment_id,
            EXPERIMENTS.c.name,
            EXPERIMENTS.c.workspace,
            _EXPERIMENT_TAGS.c.value,
        )
        .select_from(EXPERIMENTS.outerjoin(_EXPERIMENT_TAGS, of_it))
        .order_by(EXPERIMENTS.c.experiment_id)
    )
    return [Experiment(*row) for row in connection.execute(rows)]


def _models(connection: Connection, tag: str) -> list[Model]:
    of_it = and_(
        _MODEL_TAGS.c.workspace == MODELS.c.workspace,
        _MODEL_TAGS.c.name == MODELS.c.name,
        _MODEL_TAGS.c.key == tag,
    )
    rows = (
        select(MODELS.c.name, MODELS.c.workspace, _MODEL_TAGS.c.value)
        .select_from(MODELS.outerjoin(_MODEL_TAGS, of_it))
        .order_by(MODELS.c.name, MODELS.c.workspace)
    )
    return [Model(*row) for row in connection.execute(rows)]


def _datasets(connection: Connection) -> list[Dataset]:
    links = select(_LINKS.c.source_id, _LINKS.c.destination_id).where(
        _LINKS.c.source_type == EntityAssociationType.EVALUATION_DATASET,
        _LINKS.c.destination_type == EntityAssociationType.EXPERIMENT,
    )
    experiments = defaultdict[str, set[int]](set)
    for dataset, experiment in connection.execute(links):
        experiments[dataset].add(int(experiment))
    rows = select(DATASETS.c.dataset_id, DATASETS.c.name, DATASETS.c.workspace).order_by(
        DATASETS.c.name, DATASETS.c.dataset_id
    )
    return [
        Dataset(number, name, workspace, tuple(sorted(experiments[number])))
        for number, name, workspace in connection.execute(rows)
    ]
