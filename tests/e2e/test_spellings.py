"""Each endpoint, asked in another spelling through Envoy: camel case, other slashes, HEAD.

Threats 37 and 109. What MLflow makes of them by itself is in the plugin's test of the same name.
"""

import pytest

from tests.plugin.spellings import ENDPOINTS, respelt
from tests.plugin.world import World, build
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants


@pytest.fixture(scope="module")
def projects(whole_stack: Stack) -> list[tuple[Project, World]]:
    """The same names in two projects."""
    made = [Tenants(whole_stack).project() for _ in range(2)]
    return [(each, build(whole_stack.mlflow, each.id)) for each in made]


def test_no_spelling_reaches_another_project(
    whole_stack: Stack, projects: list[tuple[Project, World]]
) -> None:
    (ours, _), (_, theirs) = projects
    developer, server = ours.developer(), whole_stack.mlflow
    before = server.contents()
    for endpoint in ENDPOINTS:
        for asked in respelt(endpoint, theirs):
            answer = developer.send(asked.method, asked.path, asked.body)
            assert answer.status in asked.statuses, (asked, answer.body)
            sent = f"{asked.path} {asked.body}"
            shown = [mark for mark in theirs.marks if mark.encode() in answer.body]
            assert not [mark for mark in shown if mark not in sent], (asked, answer.body)
    assert server.contents() == before
