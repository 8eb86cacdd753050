"""Register the model of a run, as clients did before models were logged apart from runs."""

import sys

import mlflow


def main(name: str, text: str) -> None:
    with mlflow.start_run(experiment_id=mlflow.create_experiment("detector")) as run:
        mlflow.log_text(text, "model/MLmodel")
    mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    sys.stdout.write("{}\n")


main(*sys.argv[1:])
