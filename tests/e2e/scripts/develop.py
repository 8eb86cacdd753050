"""A developer's day: experiments, runs, artifacts, a model, and finding all of it again."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

EXPERIMENT, MODEL = "detector", "detector"


class Doubler(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow is untyped
    """A model with nothing to learn."""

    def predict(self, model_input: list[int]) -> list[int]:
        return [2 * number for number in model_input]


def log_a_run() -> dict[str, Any]:
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_param("rate", 0.1)
        mlflow.log_metric("loss", 0.5, step=1)
        MlflowClient().log_batch(
            run.info.run_id,
            metrics=[Metric("loss", 0.25, 0, 2)],
            params=[Param("depth", "3")],
            tags=[RunTag("colour", "blue")],
        )
        mlflow.log_dict({"hello": "world"}, "notes/hello.json")
        Path("weights.bin").write_bytes(bytes(range(256)))
        mlflow.log_artifact("weights.bin")
        model = mlflow.pyfunc.log_model(
            name="doubler", python_model=Doubler(), pip_requirements=["mlflow"]
        )
    return {"run_id": run.info.run_id, "model_id": model.model_id, "model_uri": model.model_uri}


def register(logged: dict[str, Any]) -> dict[str, Any]:
    client = MlflowClient()
    version = mlflow.register_model(logged["model_uri"], MODEL)
    client.set_registered_model_alias(MODEL, "champion", version.version)
    client.set_model_version_tag(MODEL, version.version, "checked", "yes")
    client.update_registered_model(MODEL, description="doubles numbers")
    return {
        "version": int(version.version),
        "alias": int(client.get_model_version_by_alias(MODEL, "champion").version),
    }


def find(logged: dict[str, Any]) -> dict[str, Any]:
    client = MlflowClient()
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    runs = mlflow.search_runs(filter_string="metrics.loss < 0.3 and params.rate = '0.1'")
    models = mlflow.search_logged_models(experiment_ids=[experiment.experiment_id])
    return {
        "experiments": [found.name for found in mlflow.search_experiments()],
        "runs": list(runs.run_id),
        "models": list(models.model_id),
        "registered": [found.name for found in client.search_registered_models()],
        "versions": [int(v.version) for v in client.search_model_versions(f"name = '{MODEL}'")],
        "losses": sorted(m.value for m in client.get_metric_history(logged["run_id"], "loss")),
        "tags": client.get_run(logged["run_id"]).data.tags["colour"],
    }


def download(logged: dict[str, Any]) -> dict[str, Any]:
    run = f"runs:/{logged['run_id']}"
    artifacts = MlflowClient().list_artifacts(logged["run_id"])
    weights = mlflow.artifacts.download_artifacts(f"{run}/weights.bin", dst_path="downloaded")
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    return {
        "artifacts": sorted(artifact.path for artifact in artifacts),
        "hello": mlflow.artifacts.load_dict(f"{run}/notes/hello.json"),
        "weights": Path(weights).read_bytes() == bytes(range(256)),
        "predicted": model.predict([1, 21]),
        "files": sorted(path.name for path in Path(weights).parent.iterdir()),
    }


def main() -> None:
    mlflow.set_experiment(EXPERIMENT)
    logged = log_a_run()
    json.dump(logged | register(logged) | find(logged) | download(logged), sys.stdout)


main()
