"""MLflow's own Python client, unmodified, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.servers.processes import clean_environment

SCRIPTS = Path(__file__).parent / "e2e" / "scripts"


def run_client(
    script: str, *arguments: str, uri: str, folder: Path, **environment: str
) -> dict[str, Any]:
    """Run a script against a tracking URI; returns the JSON object that it prints at its end.

    The client keeps its state below `folder`. It tries once, unless `environment` says otherwise.
    """
    settings = {
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{script}.py"), *arguments],
        env=clean_environment() | settings | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed
