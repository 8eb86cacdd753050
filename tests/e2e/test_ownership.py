"""Whose a row is, whatever tags, names and its state say: as developers of two projects see it."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.plugin.ownership import HELD, Developer
from tests.plugin.world import build
from tests.tenants import Project, Tenants


def developer_of(project: Project) -> Developer:
    """Fill a project, and return a developer of it."""
    caller = project.developer()

    def ask(method: str, path: str, body: object) -> tuple[int, Any]:
        answer = caller.send(method, path, body)
        return answer.status, answer.json()

    return Developer(build(project.tenants.stack.mlflow, project.id), ask)


@pytest.mark.parametrize("held", HELD, ids=lambda each: f"{each.__name__}")
def test_rows_are_their_projects(
    tenants: Tenants, held: Callable[[Developer, Developer], None]
) -> None:
    """Threats 93, 95, 96 and 108."""
    held(*(developer_of(tenants.project()) for _ in range(2)))
