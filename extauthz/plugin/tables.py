"""The tables that MLflow maps."""

from typing import Any

# Imported for what they map.
import mlflow.store.model_registry.dbmodels.models
import mlflow.store.tracking.dbmodels.models
import mlflow.store.workspace.dbmodels.models  # noqa: F401
from mlflow.store.db.base_sql_model import Base
from sqlalchemy import Table
from sqlalchemy.orm import Mapper


def mapped() -> dict[str, Mapper[Any]]:
    """Return the mappers of MLflow's classes by the name of their table."""
    return {table_of(mapper).name: mapper for mapper in Base.registry.mappers}


def table_of(mapper: Mapper[Any]) -> Table:
    """Return the table of a mapped class."""
    table = mapper.local_table
    if not isinstance(table, Table):
        raise TypeError(f"{mapper} maps no table")
    return table
