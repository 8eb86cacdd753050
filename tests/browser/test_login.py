"""Signing in with GitLab, what is to be seen then, and signing out, in a real browser."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Backend, Visit
from tests.browser.visitor import Visitor
from tests.gitlab import GUEST
from tests.plugin.world import API, build
from tests.servers.mlflow import project as grant_for
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants, unique

pytestmark = pytest.mark.asyncio(loop_scope="session")
SEARCH = "ajax-api/2.0/mlflow/experiments/search?max_results=100"


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


def experiment_in(project: Project) -> str:
    """Make an experiment; returns its name."""
    name = unique("experiment")
    server = project.tenants.stack.mlflow
    made = server.ask("POST", f"{API}/experiments/create", grant_for(project.id), {"name": name})
    assert made.status == 200, made.body
    return name
