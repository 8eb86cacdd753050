"""One of everything in projects, as their people had it with mlflow-sharinghub.

Takes them as JSON, each with the path, the id, and a name for all that is made in it; prints what
that was.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.genai.datasets import create_dataset
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

TAG = "project"


class Doubling(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow is untyped
    def predict(self, model_input: list[float]) -> list[float]:
        return [2 * number for number in model_input]


@mlflow.trace  # type: ignore[untyped-decorator] # MLflow is untyped
def answer(question: str) -> str:
    return question.upper()


def fill(client: MlflowClient, path: str, number: int, name: str) -> dict[str, Any]:
    secret = f"secret-{number}"
    experiment = client.create_experiment(name)
    client.set_experiment_tag(experiment, TAG, path)
    mlflow.set_experiment(name)
    with mlflow.start_run(tags={"secret": secret}) as run:
        mlflow.log_metric("loss", 0.5)
        mlflow.log_param("depth", secret)
        mlflow.log_text(secret, "more/data.txt")
        mlflow.log_input(mlflow.data.from_numpy(np.array([1.0]), name=secret))
        logged = mlflow.pyfunc.log_model(
            name="model", python_model=Doubling(), pip_requirements=["mlflow"]
        )
        answer(secret)
        mlflow.flush_trace_async_logging()
    client.create_registered_model(name, tags={"secret": secret}, description=secret)
    client.set_registered_model_tag(name, TAG, path)
    version = {"run_id": run.info.run_id, "tags": {"secret": secret}}
    client.create_model_version(name, logged.model_uri, model_id=logged.model_id, **version)
    client.create_model_version(name, f"{run.info.artifact_uri}/more", **version)
    client.set_registered_model_alias(name, "champion", "1")
    evaluated = create_dataset(name=name, experiment_id=experiment, tags={"secret": secret})
    evaluated.merge_records([{"inputs": {"q": secret}, "expectations": {"a": secret}}])
    trace = mlflow.get_last_active_trace_id()
    location = client.get_trace(trace).info.tags["mlflow.artifactLocation"]
    return {
        "id": number,
        "path": path,
        "name": name,
        "experiment": int(experiment),
        "run": run.info.run_id,
        "model": logged.model_id,
        "trace": trace,
        "attachment": attach(location, secret),
        "dataset": evaluated.dataset_id,
    }


def attach(location: str, text: str) -> str:
    """Put a file where MLflow has those of a trace; returns its name."""
    name = str(uuid4())
    with TemporaryDirectory() as folder:
        Path(folder, name).write_text(text)
        get_artifact_repository(location).log_artifact(str(Path(folder, name)), "attachments")
    return name


def main(projects: str) -> None:
    client = MlflowClient()
    made = [fill(client, *each) for each in json.loads(projects)]
    json.dump({"made": made}, sys.stdout)


main(*sys.argv[1:])
