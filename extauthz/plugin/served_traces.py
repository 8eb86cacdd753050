"""The endpoints of traces that are served: traces, their assessments, and links to them.

Those without a twin are in `rules`: OpenTelemetry's own, and the files of a trace.
"""

from typing import Final

READ_EVERYWHERE: Final = (
    "GET 2.0/mlflow/traces",
    "GET 2.0/mlflow/traces/<request_id>/info",
    "POST 3.0/mlflow/traces/search",
    "GET 3.0/mlflow/traces/get",
    "GET 3.0/mlflow/traces/batchGet",
    "POST 3.0/mlflow/traces/batchGetInfos",
    "GET 3.0/mlflow/traces/<trace_id>",
    "GET 3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>",
    "POST 3.0/mlflow/traces/metrics",
    "POST 3.0/mlflow/traces/calculate-filter-correlation",
)
READ: Final[tuple[str, ...]] = ()
CREATE: Final = (
    "POST 2.0/mlflow/traces",
    "POST 3.0/mlflow/traces",
    "POST 3.0/mlflow/traces/<trace_id>/assessments",
)
UPDATE: Final = (
    "PATCH 2.0/mlflow/traces/<request_id>",
    "PATCH 2.0/mlflow/traces/<request_id>/tags",
    "DELETE 2.0/mlflow/traces/<request_id>/tags",
    "PATCH 3.0/mlflow/traces/<trace_id>/tags",
    "DELETE 3.0/mlflow/traces/<trace_id>/tags",
    "POST 2.0/mlflow/traces/link-to-run",
    "POST 2.0/mlflow/traces/link-prompts",
    "PATCH 3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>",
)
DELETE: Final = (
    "POST 2.0/mlflow/traces/delete-traces",
    "POST 3.0/mlflow/traces/delete-traces",
    "DELETE 3.0/mlflow/traces/<trace_id>/assessments/<assessment_id>",
)
