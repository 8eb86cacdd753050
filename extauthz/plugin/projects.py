"""The projects that own rows: all that the edge may ask MLflow's databases for."""

import re
from collections.abc import Iterable
from typing import Final

from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModel
from mlflow.store.tracking.dbmodels.models import SqlExperiment
from sqlalchemy import Engine, select

_PROJECT: Final = re.compile(r"p([1-9][0-9]{0,18})")


class Owners:
    """Looks up which projects own experiments or registered models."""

    def __init__(self, *, tracking: Engine, registry: Engine) -> None:
        self._sources = ((tracking, SqlExperiment), (registry, SqlRegisteredModel))

    def __call__(self) -> list[int]:
        """Return their ids, ascending.

        Reads below the ORM, where no row criteria apply: the edge's own grant makes no rows
        visible.
        """
        names: set[str] = set()
        for engine, model in self._sources:
            column = model.__table__.c.workspace
            with engine.connect() as connection:
                names.update(connection.scalars(select(column).distinct()))
        return sorted(_ids(names))


def _ids(workspaces: Iterable[str]) -> Iterable[int]:
    for workspace in workspaces:
        if match := _PROJECT.fullmatch(workspace):
            yield int(match[1])
