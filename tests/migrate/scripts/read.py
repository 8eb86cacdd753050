"""Goes on with a project where it was before: finds all there is by its name, and adds a run.

Takes what was made; prints what it found.
"""

import json
import sys

import mlflow
import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.genai.datasets import get_dataset

made = json.loads(sys.argv[1])
client, name = MlflowClient(), made["name"]
experiment = mlflow.set_experiment(name)
(run,) = client.search_runs([experiment.experiment_id])
uris = (
    f"runs:/{made['run']}/more/data.txt",
    f"mlflow-artifacts:/{made['experiment']}/{made['run']}/artifacts/more/data.txt",
    f"models:/{name}/2/data.txt",
)
loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
trace = mlflow.get_trace(made["trace"])
with mlflow.start_run() as added:
    mlflow.log_text("new", "new.txt")

json.dump(
    {
        "experiment": int(experiment.experiment_id),
        "run": run.info.run_id,
        "texts": [mlflow.artifacts.load_text(uri) for uri in uris],
        "predicted": loaded.predict([1.0, 2.0]),
        "spans": [span.name for span in trace.data.spans],
        "records": len(get_dataset(dataset_id=made["dataset"]).to_df()),
        "models": [model.name for model in client.search_registered_models()],
        "added": added.info.artifact_uri,
    },
    sys.stdout,
)
