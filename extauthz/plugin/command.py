"""How MLflow is started with the plugin: its command line and its environment."""

import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr

APP = "extauthz"
WORKSPACE_STORE = "extauthz://"
# Grants are longer than the 16 KiB of headers at which h11, uvicorn's other parser, stops.
UVICORN_OPTIONS = "--http httptools"
# Its access log would hold the queries.
_SILENT = "--no-access-log"
LINE = (
    f"mlflow server --app-name {APP} --enable-workspaces --workspace-store-uri {WORKSPACE_STORE}"
    f" --uvicorn-opts '{UVICORN_OPTIONS}'"
)


def command(*, host: str, port: int, workers: int = 1) -> list[str]:
    """Return the command that serves MLflow on `host:port`, which is the one Host it answers to."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--app-name", APP),
        "--enable-workspaces",
        *("--workspace-store-uri", WORKSPACE_STORE),
        *("--uvicorn-opts", f"{UVICORN_OPTIONS} {_SILENT}"),
        *("--host", host),
        *("--port", str(port)),
        *("--allowed-hosts", f"{host}:{port}"),
        "--serve-artifacts",
        *("--workers", str(workers)),
    ]


def environment(
    *,
    grant_key: SecretStr,
    instance: str,
    backend_store_uri: str,
    artifacts_destination: str,
    grant_key_previous: SecretStr | None = None,
    public_url: str = "http://localhost:5000",
    framed_by: Sequence[str] = (),
) -> dict[str, str]:
    """Return what to add to the environment of `command`.

    `public_url` is where browsers see MLflow: its origin is the one that may write. `framed_by` are
    the origins of other sites whose pages may show MLflow in a frame.
    """
    settings = {
        "GRANT_KEY": grant_key.get_secret_value(),
        "INSTANCE_ID": instance,
        # Not in the command, which every user of the machine sees: it may hold a password.
        "MLFLOW_BACKEND_STORE_URI": backend_store_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts_destination,
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origin(public_url),
        "FRAME_ANCESTORS": ",".join(framed_by),
        # Jobs would run in threads that no grant covers.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Made by such a job, from the traces of all projects, into tables that name none of them.
        "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "false",
        # The gateway fetches URLs that clients choose, with secrets that all projects share.
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    if grant_key_previous is not None and grant_key_previous.get_secret_value():
        settings["GRANT_KEY_PREVIOUS"] = grant_key_previous.get_secret_value()
    return settings


def origin(url: str) -> str:
    """Return the scheme, host and port of a URL, as a browser sends them in `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
