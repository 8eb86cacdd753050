"""A reader's day: everything is read, every write is tried.

Takes a run, a logged model, and an experiment; prints what was read, and how each write ended.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from requests import HTTPError

RUN, MODEL_ID, EXPERIMENT = sys.argv[1:]
NAME = "detector"


def read() -> dict[str, Any]:
    client = MlflowClient()
    mlflow.set_experiment(NAME)
    weights = mlflow.artifacts.download_artifacts(f"runs:/{RUN}/weights.bin", dst_path="downloaded")
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    return {
        "experiments": [found.name for found in mlflow.search_experiments()],
        "runs": list(mlflow.search_runs().run_id),
        "models": list(mlflow.search_logged_models(experiment_ids=[EXPERIMENT]).model_id),
        "registered": [found.name for found in client.search_registered_models()],
        "versions": [int(v.version) for v in client.search_model_versions(f"name = '{NAME}'")],
        "rate": client.get_run(RUN).data.params["rate"],
        "losses": sorted(m.value for m in client.get_metric_history(RUN, "loss")),
        "artifacts": sorted(artifact.path for artifact in client.list_artifacts(RUN)),
        "weights": Path(weights).read_bytes() == bytes(range(256)),
        "predicted": model.predict([1, 21]),
    }


def writes() -> Iterator[tuple[str, Callable[[], object]]]:
    client = MlflowClient()
    Path("forbidden.txt").write_text("forbidden")
    yield "create an experiment", lambda: mlflow.create_experiment("forbidden")
    yield "tag an experiment", lambda: client.set_experiment_tag(EXPERIMENT, "a", "b")
    yield "rename an experiment", lambda: client.rename_experiment(EXPERIMENT, "forbidden")
    yield "delete an experiment", lambda: client.delete_experiment(EXPERIMENT)
    yield "restore an experiment", lambda: client.restore_experiment(EXPERIMENT)
    yield "start a run", mlflow.start_run
    yield "log a param", lambda: client.log_param(RUN, "forbidden", 1)
    yield "log a metric", lambda: client.log_metric(RUN, "forbidden", 1)
    yield "log a batch", lambda: client.log_batch(RUN, [Metric("forbidden", 1, 0, 0)])
    yield "tag a run", lambda: client.set_tag(RUN, "a", "b")
    yield "untag a run", lambda: client.delete_tag(RUN, "colour")
    yield "end a run", lambda: client.set_terminated(RUN, "FAILED")
    yield "delete a run", lambda: client.delete_run(RUN)
    yield "log an artifact", lambda: client.log_artifact(RUN, "forbidden.txt")
    yield "log a dict", lambda: client.log_dict(RUN, {"a": "b"}, "forbidden.json")
    yield "create a logged model", lambda: client.create_logged_model(EXPERIMENT, "forbidden")
    yield "tag a logged model", lambda: client.set_logged_model_tags(MODEL_ID, {"a": "b"})
    yield "delete a logged model", lambda: client.delete_logged_model(MODEL_ID)
    yield "register a model", lambda: mlflow.register_model(f"models:/{MODEL_ID}", NAME)
    yield "create a model", lambda: client.create_registered_model("forbidden")
    yield "rename a model", lambda: client.rename_registered_model(NAME, "forbidden")
    yield "set an alias", lambda: client.set_registered_model_alias(NAME, "champion", "1")
    yield "delete an alias", lambda: client.delete_registered_model_alias(NAME, "champion")
    yield "tag a version", lambda: client.set_model_version_tag(NAME, "1", "a", "b")
    yield "delete a version", lambda: client.delete_model_version(NAME, "1")
    yield "delete a model", lambda: client.delete_registered_model(NAME)


def outcome(write: Callable[[], object]) -> list[Any]:
    """Return the status and the text that the client shows."""
    try:
        write()
    except MlflowException as error:
        return [error.get_http_status_code(), str(error)]
    except HTTPError as error:
        return [error.response.status_code if error.response is not None else 0, str(error)]
    return [200, "it was written"]


def main() -> None:
    tried = {name: outcome(do) for name, do in writes()}
    json.dump({"read": read(), "writes": tried}, sys.stdout)


main()
