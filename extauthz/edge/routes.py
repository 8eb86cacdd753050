"""The roots of MLflow's routes, so that the edge can tell a project from a path inside MLflow.

What a route may do is not decided here: that table is the plugin's, and a test compares the two.
"""

from typing import Final

EXACT: Final = frozenset(
    {
        "/",
        # The plugin's own, for MLflow's page. Its list of projects is nobody's but the edge's.
        "/extauthz/v1/view",
        "/get-artifact",
        "/graphql",
        "/health",
        "/model-versions/get-artifact",
        "/v1/traces",
        "/version",
    }
)
PREFIXES: Final = (
    "/ajax-api/2.0/",
    "/ajax-api/3.0/",
    "/api/2.0/",
    "/api/3.0/",
    "/static-files/",
)
# Below these a path names a file or folder that a user chose, so it may hold any escaped character.
ARTIFACT_ROOTS: Final = (
    "/ajax-api/2.0/mlflow-artifacts/artifacts/",
    "/ajax-api/2.0/mlflow-artifacts/mpu/abort/",
    "/ajax-api/2.0/mlflow-artifacts/mpu/complete/",
    "/ajax-api/2.0/mlflow-artifacts/mpu/create/",
    "/api/2.0/mlflow-artifacts/artifacts/",
    "/api/2.0/mlflow-artifacts/mpu/abort/",
    "/api/2.0/mlflow-artifacts/mpu/complete/",
    "/api/2.0/mlflow-artifacts/mpu/create/",
)


def is_mlflow(path: str) -> bool:
    """Tell whether MLflow could have a route for a whole path."""
    return path in EXACT or path.startswith(PREFIXES)


def is_public(method: str, path: str) -> bool:
    """Tell whether a request needs no caller: liveness, version, and the UI's own files."""
    return method in ("GET", "HEAD") and (
        path in ("/health", "/version") or path.startswith("/static-files/")
    )
