"""What a developer of one project asks for that is another's, or nobody's, through Envoy.

The numbers are rows of the list of threats that the tests are made from. That each endpoint by
itself keeps to its project is in test_isolation.
"""

from base64 import b64encode
from dataclasses import replace

import pytest

from tests.caller import Caller
from tests.plugin.attack import Attack, Pair
from tests.plugin.attacks_in_json import JSON
from tests.plugin.attacks_on_files import FILES
from tests.plugin.attacks_on_rows import ROWS
from tests.plugin.attacks_on_surfaces import SURFACES
from tests.plugin.world import build
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants


@pytest.fixture(scope="module")
def projects(whole_stack: Stack) -> list[Project]:
    tenants = Tenants(whole_stack)
    return [tenants.project() for _ in range(2)]


@pytest.fixture(scope="module")
def pair(whole_stack: Stack, projects: list[Project]) -> Pair:
    """The same names in two projects."""
    return Pair(*(build(whole_stack.mlflow, project.id) for project in projects))


@pytest.fixture(scope="module")
def developer(projects: list[Project]) -> Caller:
    return projects[0].developer()


@pytest.mark.parametrize("attack", [*ROWS, *FILES, *JSON, *SURFACES], ids=str)
def test_it_gets_nowhere(whole_stack: Stack, pair: Pair, developer: Caller, attack: Attack) -> None:
    server = whole_stack.mlflow
    behind = replace(server, port=whole_stack.envoy.port)
    before = server.contents()
    for method, path, body, headers in attack.requests(pair):
        sent = (*developer.headers, *headers)
        answer = behind.ask(method, developer.prefix + path, None, body, sent)
        attack.holds(answer.status, answer.body, pair)
    assert server.contents() == before


@pytest.mark.parametrize("attack", SURFACES, ids=str)
def test_nor_does_it_without_a_project(
    whole_stack: Stack, pair: Pair, developer: Caller, attack: Attack
) -> None:
    server = whole_stack.mlflow
    before = server.contents()
    for method, path, body, _ in attack.requests(pair):
        answer = Caller(developer.port, "", developer.headers).send(method, path, body)
        attack.holds(answer.status, answer.body, pair)
    assert server.contents() == before


def test_mlflows_own_administrator_is_nobody(developer: Caller) -> None:
    """Threat 116, CVE-2026-2635: stock MLflow with passwords begins with this one."""
    basic = b64encode(b"admin:password1234").decode()
    for prefix in (developer.prefix, ""):
        caller = Caller(developer.port, prefix, (("Authorization", f"Basic {basic}"),))
        assert caller.call("POST experiments/search", max_results=9).status == 401
