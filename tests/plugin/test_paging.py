"""Pages of a search: full ones, that end where the project's own rows end, whoever has the token.

Threats 97 and 98.
"""

from collections.abc import Callable
from typing import Any

import pytest

from extauthz.grant import Grant
from tests.plugin.paging import EVERYWHERE, SEARCHES, Ask, Paged, Search, filled, held, turned
from tests.servers.mlflow import MLflow, everything, project


@pytest.fixture(scope="module")
def pair(server: MLflow, next_number: Callable[[], int]) -> list[Paged]:
    """Two projects whose rows are among each other's."""
    return filled(server, next_number(), next_number())


def under(server: MLflow, grant: Grant) -> Ask:
    """Return how to ask in somebody's name."""

    def ask(method: str, path: str, body: object) -> tuple[int, Any]:
        answer = server.ask(method, path, grant, body)
        return answer.status, answer.json

    return ask


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_pages_are_full_and_hold_the_own_rows_only(
    server: MLflow, pair: list[Paged], search: Search
) -> None:
    one, other = (held(search, under(server, project(each.number)), each) for each in pair)
    assert not {*one} & {*other}


@pytest.mark.parametrize("search", EVERYWHERE, ids=str)
def test_so_do_those_of_everything(server: MLflow, pair: list[Paged], search: Search) -> None:
    for holds in pair:
        everywhere, inside = everything(holds.number), project(holds.number)
        found = held(search, under(server, everywhere), holds)
        assert {*found} == {*held(search, under(server, inside), holds)}


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_a_token_of_another_project_opens_none_of_its_pages(
    server: MLflow, pair: list[Paged], search: Search
) -> None:
    ours, theirs = pair
    own = held(search, under(server, project(ours.number)), ours)
    for grant in (project(ours.number), everything(ours.number)):
        found = turned(search, under(server, grant), under(server, project(theirs.number)), *pair)
        assert {*found} <= {*own}
