"""The endpoint table, held against what a method and the name of an endpoint say by themselves."""

import re

import pytest

from extauthz.grant import View
from extauthz.plugin.rules import FLASK, NATIVE, Action, Artifact, Key, Rule

# Both may have an entry for one key; then both must be right.
TABLE = [*FLASK.items(), *NATIVE.items()]
# Sets in a rule have no order that each test process would see.
NAMED = [pytest.param(key, rule, id=" ".join(key)) for key, rule in TABLE]
# A query that is too long for an address.
ASKS = re.compile(
    r"/(search(-datasets)?|get-latest-versions|batchGetInfos|traces/metrics"
    r"|calculate-filter-correlation|graphql)\Z"
)
# What MLflow can tell about one project only.
OF_ONE_PROJECT = re.compile(r"/3\.0/mlflow/(datasets|scorers|issues|label-schemas|review-queues)\b")
STORED = "2.0/mlflow-artifacts"
# Where each endpoint that speaks of a file takes its path from, and what that is relative to.
PATHS = {
    ("GET", f"{STORED}/artifacts"): (Artifact.STORED, "path"),
    ("DELETE", f"{STORED}/artifacts/<path:artifact_path>"): (Artifact.STORED, "artifact_path"),
    ("POST", f"{STORED}/mpu/create/<path:artifact_path>"): (Artifact.PARTS, "artifact_path"),
    ("POST", f"{STORED}/mpu/complete/<path:artifact_path>"): (Artifact.PARTS, "artifact_path"),
    ("POST", f"{STORED}/mpu/abort/<path:artifact_path>"): (Artifact.PARTS, "artifact_path"),
    ("GET", f"{STORED}/artifacts/{{artifact_path:path}}"): (Artifact.FILE, "artifact_path"),
    ("PUT", f"{STORED}/artifacts/{{artifact_path:path}}"): (Artifact.FILE, "artifact_path"),
    ("GET", "2.0/mlflow/artifacts/list"): (Artifact.WITHIN, "path"),
    ("GET", "2.0/mlflow/logged-models/<model_id>/artifacts/directories"): (
        Artifact.WITHIN,
        "artifact_directory_path",
    ),
    ("GET", "2.0/mlflow/logged-models/<model_id>/artifacts/files"): (
        Artifact.WITHIN,
        "artifact_file_path",
    ),
    ("POST", "2.0/mlflow/upload-artifact"): (Artifact.WITHIN, "path"),
    ("GET", "2.0/mlflow/get-trace-artifact"): (Artifact.WITHIN, "path"),
    ("GET", "3.0/mlflow/get-trace-artifact"): (Artifact.WITHIN, "path"),
    ("GET", "/get-artifact"): (Artifact.WITHIN, "path"),
    ("GET", "/model-versions/get-artifact"): (Artifact.WITHIN, "path"),
}


def untwinned(key: Key) -> Key:
    return key[0], re.sub(r"\A/(ajax-)?api/", "", key[1])


@pytest.mark.parametrize(("key", "rule"), NAMED)
def test_whoever_only_reads_gets_what_asks_and_nothing_else(key: Key, rule: Rule) -> None:
    """Threat 110: an endpoint that changes something must not pass for one that reads."""
    method, path = key
    asks = method == "GET" or (method == "POST" and ASKS.search(path) is not None)
    assert (rule.action is Action.READ) is asks


@pytest.mark.parametrize(("key", "rule"), NAMED)
def test_everything_that_reads_exists_over_all_projects_or_belongs_to_one(
    key: Key, rule: Rule
) -> None:
    reads = rule.action is Action.READ
    assert View.PROJECT in rule.views
    assert (View.GLOBAL in rule.views) is (reads and OF_ONE_PROJECT.search(key[1]) is None)


def test_every_path_to_a_file_is_known_by_its_place_and_by_what_it_is_relative_to() -> None:
    """Threat 88: a path that is taken from elsewhere than MLflow takes it is not checked."""
    found = {
        untwinned(key): (rule.artifact, rule.parameter)
        for key, rule in TABLE
        if rule.artifact is not Artifact.NONE or rule.parameter
    }
    assert found == PATHS


def test_what_mlflows_page_and_its_clients_cannot_do_without_is_there() -> None:
    there = {key for key, _ in TABLE}
    assert {
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/version"),
        ("GET", "/static-files/<path:path>"),
        ("POST", "/graphql"),
        ("POST", "/v1/traces"),
        ("GET", "/api/3.0/mlflow/server-info"),
        ("GET", "/ajax-api/3.0/mlflow/server-info"),
        ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk"),
        ("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets"),
    } <= there
    assert ("GET", "/health") in FLASK
    assert ("GET", "/health") in NATIVE


def test_the_table_cannot_be_changed_while_it_is_used() -> None:
    with pytest.raises(TypeError):
        FLASK["POST", "/new"] = FLASK["GET", "/"]  # type: ignore[index]  # what must not work
