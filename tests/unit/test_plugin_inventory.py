"""An MLflow with parts that nobody has judged does not start, unless told to go on without them."""

import json
import subprocess
import sys
from typing import Any

import pytest

from extauthz.plugin.refused import FAMILIES, told, why_refused
from extauthz.plugin.rules import FLASK, NATIVE
from extauthz.plugin.settings import Settings, SettingsError
from tests.servers.processes import clean_environment

# In a process of its own: importing MLflow's server changes the one that does.
_ASK = """
import json
from mlflow.server import app
from extauthz.plugin import inventory
known = inventory.unknown(app)
app.add_url_rule("/ajax-api/4.0/mlflow/brand-new", "new", lambda: "", methods=["POST"])
print(json.dumps([known, inventory.unknown(app)]))
"""
GIVEN = {"GRANT_KEY": "a grant key for tests that is long enough", "INSTANCE_ID": "gitlab.test"}


@pytest.fixture(scope="module")
def answer() -> Any:
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ASK],
        capture_output=True,
        check=True,
        env=clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    return json.loads(asked.stdout)


def test_everything_of_the_supported_mlflow_is_known(answer: Any) -> None:
    """Threats 117 and 118."""
    assert answer[0] == []


def test_a_route_of_a_later_mlflow_is_unknown(answer: Any) -> None:
    """Threat 117."""
    assert answer[1] == ["route POST /ajax-api/4.0/mlflow/brand-new"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/gateway/openai/v1/responses", "gateway"),
        ("/ajax-api/2.0/mlflow/gateway-proxy", "gateway"),
        ("/ajax-api/3.0/jobs/", "jobs"),
        ("/api/3.0/mlflow/prompt-optimization/jobs/search", "jobs"),
        ("/ajax-api/3.0/mlflow/scorer/invoke", "job"),
        ("/ajax-api/3.0/mlflow/assistant/config", "assistant"),
        ("/api/3.0/mlflow/mcp-servers/{name:path}", "MCP"),
        ("/api/2.0/mlflow/webhooks/<webhook_id>", "webhooks"),
        ("/api/3.0/mlflow/workspaces", "workspaces"),
        ("/api/2.0/mlflow-artifacts/presigned/<path:artifact_path>", "presigned"),
    ],
)
def test_a_refusal_says_why(path: str, words: str) -> None:
    assert words in (why_refused(path) or "")
    assert words in told(path)


def test_what_nobody_has_judged_is_refused_as_such() -> None:
    assert why_refused("/api/4.0/mlflow/brand-new") is None
    assert "safe" in told("/api/4.0/mlflow/brand-new")


def test_no_family_takes_what_is_served() -> None:
    served = {path for _, path in (*FLASK, *NATIVE)} - {"/graphql"}
    assert [path for path in served if any(each.paths.match(path) for each in FAMILIES)] == []


def test_it_is_a_setting_to_go_on_without_them() -> None:
    assert not Settings.load(GIVEN).tolerant
    assert Settings.load(GIVEN | {"MLFLOW_UNCLASSIFIED": "warn"}).tolerant
    with pytest.raises(SettingsError, match="stop or warn"):
        Settings.load(GIVEN | {"MLFLOW_UNCLASSIFIED": "yes"})
