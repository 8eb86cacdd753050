"""Prompts, which are registered models with a tag: rows 92 and 107 of the threats."""

from urllib.parse import urlencode

import pytest

from extauthz.grant import Why
from extauthz.levels import Role
from tests.plugin.asking import shown
from tests.plugin.world import API, World
from tests.plugin.world_evaluation import PROMPT
from tests.servers.mlflow import MLflow, project

ALL = {"filter": "tags.`mlflow.prompt.is_prompt` = 'true'"}


def _own(world: World, **more: str) -> str:
    return urlencode({"name": world.prompt, **more})


def test_prompts_are_found_in_their_own_project(server: MLflow, ours: World, theirs: World) -> None:
    for path in ("registered-models/search", "model-versions/search"):
        answer = server.ask("GET", f"{API}/{path}?{urlencode(ALL)}", ours.grant)
        (found,) = answer.json["registered_models" if "registered" in path else "model_versions"]
        assert found["name"] == ours.prompt
        assert not shown(theirs, answer)


@pytest.mark.parametrize(
    "path",
    [
        "registered-models/get?{own}",
        "registered-models/alias?{own}&alias=latest-good",
        "registered-models/get-latest-versions?{own}",
        "model-versions/get?{own}&version=1",
        "model-versions/get-download-uri?{own}&version=1",
    ],
)
def test_a_prompt_is_read_by_readers_of_its_project_only(
    server: MLflow, ours: World, theirs: World, path: str
) -> None:
    for prefix in (API, API.replace("/api/", "/ajax-api/")):
        target = f"{prefix}/{path.format(own=_own(theirs))}"
        reader = project(theirs.number, Role.READ, Why.GUEST)
        assert server.ask("GET", target, reader).status == 200
        answer = server.ask("GET", target, ours.grant)
        assert answer.status == 404
        assert not shown(theirs, answer, sent=target)


def test_a_reader_who_loads_a_prompt_leaves_no_tag(server: MLflow, ours: World) -> None:
    """Threat 107: MLflow's client tries to, and goes on when it may not."""
    reader = project(ours.number, Role.READ, Why.GUEST)
    tag = {"key": "mlflow.prompt.associatedRunIds", "value": ours.run}
    before = server.contents()

    for path, named in (
        ("registered-models/set-tag", {"name": ours.prompt}),
        ("model-versions/set-tag", {"name": ours.prompt, "version": "1"}),
        ("runs/set-tag", {"run_id": ours.run}),
    ):
        answer = server.ask("POST", f"{API}/{path}", reader, {**named, **tag})
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")

    assert server.contents() == before


@pytest.mark.parametrize("tags", [PROMPT, []], ids=["tagged", "untagged"])
@pytest.mark.parametrize("place", ["prompt", "model"])
def test_a_prompt_comes_from_nowhere(
    server: MLflow, ours: World, theirs: World, place: str, tags: list[dict[str, str]]
) -> None:
    """Threat 92, CVE-2026-2614: with the tag of a prompt, MLflow once let any source pass."""
    name = ours.prompt if place == "prompt" else ours.own
    before = server.contents()

    for source in (
        "file:///etc",
        "/etc",
        "s3://bucket/x",
        f"runs:/{theirs.run}/m",
        f"models:/{theirs.model}",
        f"models:/{theirs.own}/1",
        f"mlflow-artifacts:/{theirs.files}",
        "dummy-source/../../etc",
        "dummy-source?x",
    ):
        body = {"name": name, "source": source, "tags": tags}
        answer = server.ask("POST", f"{API}/model-versions/create", ours.grant, body)
        assert answer.status in (400, 403, 404), (source, answer.body)
        assert not shown(theirs, answer, sent=body)

    assert server.contents() == before


@pytest.mark.parametrize("path", ["", "x", "mlflow.db", "../mlflow.db"])
def test_a_prompt_has_no_files(server: MLflow, ours: World, path: str) -> None:
    """Its source is a word, which MLflow takes for a folder of the server's own."""
    query = _own(ours, version="1", path=path)

    answer = server.ask("GET", f"/model-versions/get-artifact?{query}", ours.grant)

    assert answer.status in (400, 403, 404, 500), answer.body
    assert b"SQLite" not in answer.body
