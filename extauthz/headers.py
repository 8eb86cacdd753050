"""Headers that never reach MLflow, whoever sent them.

The edge has Envoy remove them, and the plugin drops them again.
"""

from typing import Final

REMOVED: Final = (
    # Credentials: what MLflow, its logs and its error pages must not hold.
    "authorization",
    "cookie",
    "private-token",
    "x-gitlab-token",
    "job-token",
    "deploy-token",
    # What could change how a request is read after it was decided.
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-http-method-override",
    "x-original-uri",
    "x-mlflow-workspace",
)
