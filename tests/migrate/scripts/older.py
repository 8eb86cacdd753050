"""Makes a database as MLflow made it when its schema was of a revision. Takes address and revision.

By MLflow's own steps; in a process of its own, since they are not made to be run twice in one.
"""

import sys

from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import create_engine


def main(address: str, revision: str) -> None:
    engine = create_engine(address)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(address)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


main(*sys.argv[1:])
