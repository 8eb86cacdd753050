"""Projects, as GitLab tells them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from extauthz.doctor.deployment import Deployment
from extauthz.doctor.envoy import bearer
from extauthz.doctor.wire import Unreachable

# GitLab bounds the complexity of a query.
_BATCH: Final = 25
_QUERY: Final = (
    "query($ids: [ID!]) { currentUser { id } projects(ids: $ids, first: 25) { nodes { id } } }"
)
_OK: Final = 200


async def known_to_gitlab(deployment: Deployment, numbers: Sequence[int]) -> set[int]:
    """Return the ids of those projects that GitLab shows to the token that sees most.

    Raises Unreachable where GitLab has no definite answer.
    """
    found: set[int] = set()
    for start in range(0, len(numbers), _BATCH):
        found.update(await _batch(deployment, numbers[start : start + _BATCH]))
    return found


async def at_paths_with(deployment: Deployment, text: str) -> list[str]:
    """Return the paths of projects that have a text in them; raises Unreachable."""
    query = f"search={text}&search_namespaces=true&simple=true&per_page=100"
    url = f"{deployment.gitlab}/api/v4/projects?{query}"
    answer = await deployment.wire.ask("GET", url, [_token(deployment)])
    if answer.status != _OK or not isinstance(answer.json, list):
        raise Unreachable(f"{deployment.gitlab} does not list projects: {answer.status}")
    return [str(project.get("path_with_namespace", "")) for project in answer.json]


async def _batch(deployment: Deployment, numbers: Iterable[int]) -> set[int]:
    ids = [f"gid://gitlab/Project/{number}" for number in numbers]
    body = json.dumps({"query": _QUERY, "variables": {"ids": ids}}).encode()
    answer = await deployment.wire.ask(
        "POST",
        f"{deployment.gitlab}/api/graphql",
        [_token(deployment), ("Content-Type", "application/json")],
        body,
    )
    match answer.json:
        case {"data": {"currentUser": {}, "projects": {"nodes": list(nodes)}}}:
            return {_number(node) for node in nodes}
        case _:
            raise Unreachable(f"{deployment.gitlab} does not tell projects: {answer.status}")


def _token(deployment: Deployment) -> tuple[str, str]:
    token = deployment.overseer
    return bearer(token.get_secret_value() if token else "")


def _number(node: dict[str, Any]) -> int:
    return int(str(node["id"]).rpartition("/")[2])
