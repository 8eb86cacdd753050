"""The endpoints that are served, by what they do: one half of the endpoint table.

Paths are those that MLflow registers below /api/ and /ajax-api/, which are twins.
"""

from typing import Final

# In every view; over all projects where no project is named.
READ_EVERYWHERE: Final = (
    "POST 2.0/mlflow/experiments/search",
    "GET 2.0/mlflow/experiments/search",
    "GET 2.0/mlflow/experiments/get",
    "POST 2.0/mlflow/runs/search",
    "GET 2.0/mlflow/runs/get",
    "GET 2.0/mlflow/metrics/get-history",
    "GET 2.0/mlflow/metrics/get-history-bulk-interval",
    "GET 2.0/mlflow/registered-models/search",
    "GET 2.0/mlflow/model-versions/search",
    "POST 2.0/mlflow/logged-models/search",
    # In the project that owns what they name: see `narrow`.
    "GET 2.0/mlflow/experiments/get-by-name",
    "GET 2.0/mlflow/logged-models/<model_id>",
    "GET 2.0/mlflow/registered-models/get",
    "GET 2.0/mlflow/registered-models/alias",
    "POST 2.0/mlflow/registered-models/get-latest-versions",
    "GET 2.0/mlflow/registered-models/get-latest-versions",
    "GET 2.0/mlflow/model-versions/get",
    "GET 2.0/mlflow/model-versions/get-download-uri",
)
READ: Final[tuple[str, ...]] = ()
CREATE: Final = (
    "POST 2.0/mlflow/experiments/create",
    "POST 2.0/mlflow/runs/create",
    "POST 2.0/mlflow/logged-models",
    "POST 2.0/mlflow/registered-models/create",
    "POST 2.0/mlflow/model-versions/create",
)
UPDATE: Final = (
    "POST 2.0/mlflow/experiments/update",
    "POST 2.0/mlflow/experiments/restore",
    "POST 2.0/mlflow/experiments/set-experiment-tag",
    "POST 2.0/mlflow/experiments/delete-experiment-tag",
    "POST 2.0/mlflow/runs/update",
    "POST 2.0/mlflow/runs/restore",
    "POST 2.0/mlflow/runs/log-metric",
    "POST 2.0/mlflow/runs/log-parameter",
    "POST 2.0/mlflow/runs/log-batch",
    "POST 2.0/mlflow/runs/log-model",
    "POST 2.0/mlflow/runs/log-inputs",
    "POST 2.0/mlflow/runs/outputs",
    "POST 2.0/mlflow/runs/set-tag",
    "POST 2.0/mlflow/runs/delete-tag",
    "PATCH 2.0/mlflow/logged-models/<model_id>",
    "PATCH 2.0/mlflow/logged-models/<model_id>/tags",
    "DELETE 2.0/mlflow/logged-models/<model_id>/tags/<tag_key>",
    "POST 2.0/mlflow/logged-models/<model_id>/params",
    "POST 2.0/mlflow/registered-models/rename",
    "PATCH 2.0/mlflow/registered-models/update",
    "POST 2.0/mlflow/registered-models/set-tag",
    "DELETE 2.0/mlflow/registered-models/delete-tag",
    "POST 2.0/mlflow/registered-models/alias",
    "DELETE 2.0/mlflow/registered-models/alias",
    "PATCH 2.0/mlflow/model-versions/update",
    "POST 2.0/mlflow/model-versions/transition-stage",
    "POST 2.0/mlflow/model-versions/set-tag",
    "DELETE 2.0/mlflow/model-versions/delete-tag",
)
DELETE: Final = (
    "POST 2.0/mlflow/experiments/delete",
    "POST 2.0/mlflow/runs/delete",
    "DELETE 2.0/mlflow/logged-models/<model_id>",
    "DELETE 2.0/mlflow/registered-models/delete",
    "DELETE 2.0/mlflow/model-versions/delete",
)
