"""Creates an experiment of the name that is given; prints its id, or what the client shows."""

import json
import sys

import mlflow
from mlflow.exceptions import MlflowException


def create(name: str) -> dict[str, str]:
    try:
        return {"created": mlflow.create_experiment(name)}
    except MlflowException as error:
        return {"failed": str(error)}


json.dump(create(sys.argv[1]), sys.stdout)
