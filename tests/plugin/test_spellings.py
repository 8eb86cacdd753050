"""Each endpoint, asked in another spelling: fields in camel case, other slashes, HEAD.

Threats 37 and 109: what is checked is what is done, whichever way it is said.
"""

import pytest

from tests.plugin.endpoint import Endpoint
from tests.plugin.endpoints import READS
from tests.plugin.spellings import ENDPOINTS, in_camel_case, respelt
from tests.plugin.world import World
from tests.servers.mlflow import MLflow


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
def test_no_spelling_reaches_another_project(
    server: MLflow, ours: World, theirs: World, endpoint: Endpoint
) -> None:
    before = server.contents()

    for asked in respelt(endpoint, theirs):
        answer = server.ask(asked.method, asked.path, ours.grant, asked.body)
        assert answer.status in asked.statuses, (asked, answer.body)
        sent = f"{asked.path} {asked.body}"
        shown = [mark for mark in theirs.marks if mark.encode() in answer.body]
        assert not [mark for mark in shown if mark not in sent], (asked, answer.body)

    assert server.contents() == before


@pytest.mark.parametrize("endpoint", READS, ids=str)
def test_both_spellings_mean_the_same_or_one_is_refused(
    server: MLflow, ours: World, endpoint: Endpoint
) -> None:
    for key in endpoint.keys:
        method, path, body = endpoint.about(ours, key)
        camel = in_camel_case(method, path, body)

        plain = server.ask(method, path, ours.grant, body)
        answer = server.ask(camel.method, camel.path, ours.grant, camel.body)

        assert plain.status == 200, plain.body
        assert answer.body == plain.body or answer.status in (400, 404), camel
