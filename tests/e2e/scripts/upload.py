"""Logs a file to a run, downloads it, and prints what became of it."""

import json
import sys
from hashlib import sha256
from pathlib import Path

import mlflow

SIZE = int(sys.argv[1])
FOLDER = "100% done/é"


def main() -> None:
    mlflow.set_experiment("uploads")
    file = Path("weights.bin")
    file.write_bytes(sha256(b"seed").digest() * (SIZE // 32))
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), FOLDER)
    uri = f"{run.info.artifact_uri}/{FOLDER}/{file.name}"
    found = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path=f"{FOLDER}/{file.name}", dst_path="downloaded"
    )
    same = Path(found).read_bytes() == file.read_bytes()
    listed = [each.path for each in mlflow.artifacts.list_artifacts(uri.rpartition("/")[0])]
    json.dump(
        {
            "run": run.info.run_id,
            "experiment": run.info.experiment_id,
            "same": same,
            "listed": listed,
        },
        sys.stdout,
    )


main()
