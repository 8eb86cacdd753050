"""Lists of ids, some of which are another project's: the others are answered as if alone.

Threats 83 to 85 and 101.
"""

import pytest

from extauthz.grant import Grant, View
from tests.plugin.mixture import Asked, several
from tests.plugin.world import World
from tests.plugin.world_evaluation import Evaluated
from tests.plugin.world_traces import Traced, new_trace
from tests.servers.mlflow import MLflow, everything

_HISTORIES = """query Histories($data: MlflowGetMetricHistoryBulkIntervalInput!) {
  mlflowGetMetricHistoryBulkInterval(input: $data) { metrics { runId value } }
}"""


@pytest.mark.parametrize("view", [View.PROJECT, View.GLOBAL])
def test_the_own_ones_are_read_alone(
    server: MLflow, ours: World, theirs: World, view: View
) -> None:
    grant = ours.grant if view is View.PROJECT else everything(ours.number)
    lists = [several(*worlds, view=view) for worlds in ((theirs, ours), (ours, theirs), (ours,))]
    before = server.contents()

    for mixed, turned, own in zip(*lists, strict=True):
        answer = _answer(server, grant, own)
        assert [mark for mark in ours.marks if mark.encode() in answer] or b"values" in answer
        assert _answer(server, grant, mixed) == _answer(server, grant, turned) == answer
    assert server.contents() == before


def test_of_the_others_alone_there_is_nothing(server: MLflow, ours: World, theirs: World) -> None:
    nobodys = World(0, "9999", "0" * 32, "m-0", Evaluated("9999"), Traced(new_trace()))
    for foreign, nothing in zip(several(theirs), several(nobodys), strict=True):
        answer = _answer(server, ours.grant, foreign)
        assert not [mark for mark in theirs.marks if mark.encode() in answer], answer
        assert answer == _answer(server, ours.grant, nothing)


def test_the_histories_of_several_runs_are_whole_or_absent(
    server: MLflow, ours: World, theirs: World
) -> None:
    for runs in ((ours, theirs), (theirs, ours), (theirs,)):
        ids = [world.run for world in runs]
        asked = {"runIds": ids, "metricKey": "loss", "maxResults": 9}
        query = {"query": _HISTORIES, "variables": {"data": asked}}
        for root in ("/api", "/ajax-api"):
            named = "&".join(f"run_ids={each}" for each in ids)
            path = f"{root}/2.0/mlflow/metrics/get-history-bulk-interval?{named}&metric_key=loss"
            answer = server.ask("GET", f"{path}&max_results=9", ours.grant)
            assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        answer = server.ask("POST", "/graphql", ours.grant, query)
        assert answer.json["data"]["mlflowGetMetricHistoryBulkInterval"] is None
        assert answer.json["errors"]


def _answer(server: MLflow, grant: Grant, asked: Asked) -> bytes:
    answer = server.ask(asked.method, asked.path, grant, asked.body)
    assert answer.status == asked.status, (asked, answer.body)
    return answer.body
