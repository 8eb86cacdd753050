"""The stores that MLflow's handlers use: ours, in front of MLflow's own."""

import os
from typing import Final

from mlflow.server.constants import READ_REPLICA_BACKEND_STORE_URI_ENV_VAR
from mlflow.server.handlers import (
    _get_model_registry_store,
    _get_tracking_store,
    _model_registry_store_registry,
    _tracking_store_registry,
)
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking._model_registry.utils import _get_store as client_registry
from mlflow.tracking._tracking_service.utils import _get_store as client_tracking
from sqlalchemy import Engine

from extauthz.plugin.registry import Registry
from extauthz.plugin.tracking import Tracking

_REPLICA: Final = READ_REPLICA_BACKEND_STORE_URI_ENV_VAR


def install() -> tuple[Engine, Engine]:
    """Make MLflow's handlers use these stores; return the engines of the two databases.

    The stores that MLflow's own client code uses inside the server are opened here too, because
    opening one reads rows, which needs a grant as soon as the criteria are on.
    """
    for scheme in DATABASE_ENGINES:
        _tracking_store_registry.register(scheme, _tracking)
        _model_registry_store_registry.register(scheme, _registry)
    tracking, registry = _get_tracking_store(), _get_model_registry_store()
    client_tracking()
    client_registry()
    return tracking.engine, registry.engine


def _tracking(store_uri: str, artifact_uri: str) -> Tracking:
    return Tracking(store_uri, artifact_uri, read_db_uri=os.environ.get(_REPLICA))


def _registry(store_uri: str) -> Registry:
    return Registry(store_uri, read_db_uri=os.environ.get(_REPLICA))
