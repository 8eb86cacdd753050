"""The endpoints of evaluation that are served: datasets, scorers, issues, labels, review queues.

All of them belong to one project. Prompts are registered models, and so are in `served`. What runs
a scorer or looks for issues is a job of the server, and is in `refused`.
"""

from typing import Final

READ_EVERYWHERE: Final[tuple[str, ...]] = ()
READ: Final = (
    "GET 3.0/mlflow/datasets/<dataset_id>",
    "GET 3.0/mlflow/datasets/search",
    "POST 3.0/mlflow/datasets/search",
    "GET 3.0/mlflow/datasets/<dataset_id>/records",
    "GET 3.0/mlflow/datasets/<dataset_id>/experiment-ids",
    "GET 3.0/mlflow/scorers/list",
    "GET 3.0/mlflow/scorers/versions",
    "GET 3.0/mlflow/scorers/get",
    # MLflow's client asks for these with each scorer; none can be made here, see `refused`.
    "GET 3.0/mlflow/scorers/online-configs",
    "GET 3.0/mlflow/issues/<issue_id>",
    "POST 3.0/mlflow/issues/search",
    "GET 3.0/mlflow/label-schemas/get",
    "GET 3.0/mlflow/label-schemas/get-by-name",
    "GET 3.0/mlflow/label-schemas/list",
    "GET 3.0/mlflow/review-queues/get",
    "GET 3.0/mlflow/review-queues/get-by-name",
    "GET 3.0/mlflow/review-queues/list",
    "GET 3.0/mlflow/review-queues/items/list",
)
CREATE: Final = (
    "POST 3.0/mlflow/datasets/create",
    "POST 3.0/mlflow/scorers/register",
    "POST 3.0/mlflow/issues",
    "POST 3.0/mlflow/label-schemas/create",
    "POST 3.0/mlflow/review-queues/create",
    "POST 3.0/mlflow/review-queues/get-or-create-user",
)
UPDATE: Final = (
    "PATCH 3.0/mlflow/datasets/<dataset_id>/tags",
    "DELETE 3.0/mlflow/datasets/<dataset_id>/tags/<key>",
    "POST 3.0/mlflow/datasets/<dataset_id>/records",
    "DELETE 3.0/mlflow/datasets/<dataset_id>/records",
    "POST 3.0/mlflow/datasets/<dataset_id>/add-experiments",
    "POST 3.0/mlflow/datasets/<dataset_id>/remove-experiments",
    "PATCH 3.0/mlflow/issues/<issue_id>",
    "PATCH 3.0/mlflow/label-schemas/update",
    "POST 3.0/mlflow/review-queues/update",
    "POST 3.0/mlflow/review-queues/items/add",
    "POST 3.0/mlflow/review-queues/items/remove",
    "POST 3.0/mlflow/review-queues/items/set-status",
)
DELETE: Final = (
    "DELETE 3.0/mlflow/datasets/<dataset_id>",
    "DELETE 3.0/mlflow/scorers/delete",
    "DELETE 3.0/mlflow/label-schemas/delete",
    "POST 3.0/mlflow/review-queues/delete",
)
