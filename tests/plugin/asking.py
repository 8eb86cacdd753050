"""Requests to MLflow's endpoints of version 3, in the name of a project's developer."""

from typing import Any
from urllib.parse import urlencode

from tests.plugin.world import World
from tests.plugin.world_evaluation import API
from tests.servers.mlflow import Answer, MLflow

TWINS = (API, API.replace("/api/", "/ajax-api/"))


def both(server: MLflow, world: World, method: str, path: str, body: object) -> list[Answer]:
    """Ask once under each prefix; returns the answers."""
    return [server.ask(method, f"{twin}/{path}", world.grant, body) for twin in TWINS]


def got(server: MLflow, world: World, path: str, **query: object) -> Any:
    """Return what a GET that must succeed answers."""
    answer = server.ask("GET", f"{API}/{path}?{urlencode(query, doseq=True)}", world.grant)
    assert answer.status == 200, answer.body
    return answer.json


def done(
    server: MLflow, world: World, path: str, body: dict[str, Any], method: str = "POST"
) -> Any:
    """Return what a request that must succeed answers."""
    answer = server.ask(method, f"{API}/{path}", world.grant, body)
    assert answer.status == 200, answer.body
    return answer.json


def shown(world: World, answer: Answer, sent: object = "") -> list[str]:
    """Return what an answer shows of a project beyond what was sent."""
    return [m for m in world.marks if m.encode() in answer.body and m not in str(sent)]
