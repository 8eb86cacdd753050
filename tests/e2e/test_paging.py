"""Pages of searches through Envoy, by members of two projects whose rows are among each other's.

Threats 97 and 98.
"""

from typing import Any

import pytest

from tests.caller import Caller
from tests.plugin.paging import EVERYWHERE, SEARCHES, Ask, Paged, Search, filled, held, turned
from tests.polling import eventually
from tests.servers.stack import Stack
from tests.tenants import Tenants

Member = tuple[Caller, Paged]


@pytest.fixture(scope="module")
def pair(whole_stack: Stack) -> list[Member]:
    """A guest of each of two projects."""
    projects = [Tenants(whole_stack).project() for _ in range(2)]
    paged = filled(whole_stack.mlflow, *(project.id for project in projects))
    return [(project.guest(), holds) for project, holds in zip(projects, paged, strict=True)]


def asking(caller: Caller) -> Ask:
    """Return how to ask in somebody's name."""

    def ask(method: str, path: str, body: object) -> tuple[int, Any]:
        answer = caller.send(method, path, body)
        return answer.status, answer.json()

    return ask


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_pages_are_full_and_hold_the_own_rows_only(pair: list[Member], search: Search) -> None:
    one, other = (held(search, asking(caller), holds) for caller, holds in pair)
    assert not {*one} & {*other}


@pytest.mark.parametrize("search", EVERYWHERE, ids=str)
def test_so_do_those_of_everything(pair: list[Member], search: Search) -> None:
    for caller, holds in pair:
        everywhere = Caller(caller.port, "", caller.headers)
        eventually(lambda: len(search.found(search.page(asking(everywhere), holds)[1])), 2)  # noqa: B023 - now
        assert {*held(search, asking(everywhere), holds)} == {*held(search, asking(caller), holds)}


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_a_token_of_another_project_opens_none_of_its_pages(
    pair: list[Member], search: Search
) -> None:
    (ours, holds), (theirs, theirs_hold) = pair
    own = held(search, asking(ours), holds)
    for caller in (ours, Caller(ours.port, "", ours.headers)):
        found = turned(search, asking(caller), asking(theirs), holds, theirs_hold)
        assert {*found} <= {*own}
