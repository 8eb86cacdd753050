"""What a developer of one project asks for that is another's, or nobody's: the numbers are threats.

Each is a row of the list of threats that the tests are made from.
"""

import pytest

from tests.plugin.attack import Attack, Pair
from tests.plugin.attacks_in_json import JSON
from tests.plugin.attacks_on_files import FILES
from tests.plugin.attacks_on_rows import ROWS
from tests.plugin.attacks_on_surfaces import SURFACES
from tests.plugin.world import World
from tests.servers.mlflow import MLflow


@pytest.mark.parametrize("attack", [*ROWS, *FILES, *JSON, *SURFACES], ids=str)
def test_it_gets_nowhere(server: MLflow, ours: World, theirs: World, attack: Attack) -> None:
    pair = Pair(ours, theirs)
    before = server.contents()

    for method, path, body, headers in attack.requests(pair):
        answer = server.ask(method, path, ours.grant, body, headers)
        attack.holds(answer.status, answer.body, pair)

    assert server.contents() == before
