"""Requests for what MLflow could do beside projects: none of it is served."""

from tests.plugin.attack import Attack

_TO_ANYWHERE = {
    "name": "w",
    "url": "http://127.0.0.1:1/",
    "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
}
_CHAT = {"model": "x", "messages": [{"role": "user", "content": "x"}]}

SURFACES = tuple(
    Attack(threat, what, body, None)
    for threat, what, body in (
        (111, "POST /ajax-api/3.0/jobs/", {"function_fullname": "os.system", "params": {}}),
        (111, "POST /ajax-api/3.0/jobs/search", {}),
        (111, "GET /ajax-api/3.0/jobs/1", None),
        (111, "PATCH /ajax-api/3.0/jobs/cancel/1", None),
        (111, "GET /ajax-api/3.0/mlflow/jobs/1", None),
        (111, "PATCH /ajax-api/3.0/mlflow/jobs/cancel/1", None),
        (111, "POST 3.0/mlflow/prompt-optimization/jobs", {"experiment_id": "<ours.experiment>"}),
        (112, "GET /gateway/mlflow/v1/models", None),
        (112, "POST /gateway/mlflow/v1/chat/completions", _CHAT),
        (112, "POST /gateway/openai/v1/chat/completions", _CHAT),
        (112, "POST /gateway/proxy/x/v1/models", {}),
        (112, "POST /ajax-api/2.0/mlflow/gateway-proxy", {"gateway_path": "x"}),
        (112, "GET 3.0/mlflow/gateway/secrets/list", None),
        (112, "POST 3.0/mlflow/gateway/secrets/create", {"secret_name": "s"}),
        (112, "GET 3.0/mlflow/gateway/endpoints/list", None),
        (112, "POST 3.0/mlflow/gateway/endpoints/create", {"name": "e"}),
        (113, "GET 2.0/mlflow/webhooks", None),
        (113, "POST 2.0/mlflow/webhooks", _TO_ANYWHERE),
        (113, "POST 2.0/mlflow/webhooks/1/test", {}),
        (114, "GET /ajax-api/3.0/mlflow/assistant/config", None),
        (114, "POST /ajax-api/3.0/mlflow/assistant/message", {"message": "x"}),
        (114, "GET 3.0/mlflow/mcp-servers", None),
        (114, "POST 3.0/mlflow/mcp-servers", {"name": "m"}),
        (114, "POST /ajax-api/3.0/mlflow/demo/generate", {}),
        (
            114,
            "POST /ajax-api/2.0/mlflow/runs/create-promptlab-run",
            {"experiment_id": "<ours.experiment>"},
        ),
        (114, "POST /ajax-api/3.0/mlflow/scorer/invoke", {"experiment_id": "<ours.experiment>"}),
        (114, "POST /ajax-api/3.0/mlflow/issues/invoke", {"experiment_id": "<ours.experiment>"}),
        (114, "POST /ajax-api/3.0/mlflow/genai/evaluate/invoke", {}),
        (114, "POST /ajax-api/3.0/mlflow/ui-telemetry", {"records": []}),
        (115, "GET 3.0/mlflow/workspaces", None),
        (115, "POST 3.0/mlflow/workspaces", {"name": "p1"}),
        (115, "GET 3.0/mlflow/workspaces/p<theirs.number>", None),
        (115, "PATCH 3.0/mlflow/workspaces/p<theirs.number>", {"description": "mine"}),
        (115, "DELETE 3.0/mlflow/workspaces/p<theirs.number>", None),
        (116, "GET /signup", None),
        (116, "POST 2.0/mlflow/users/create", {"username": "mallory", "password": "password1234"}),
        (116, "GET 2.0/mlflow/users/get?username=admin", None),
        (116, "PATCH 2.0/mlflow/users/update-admin", {"username": "mallory", "is_admin": True}),
        (
            116,
            "POST 2.0/mlflow/experiments/permissions/create",
            {"experiment_id": "<theirs.experiment>"},
        ),
    )
)
