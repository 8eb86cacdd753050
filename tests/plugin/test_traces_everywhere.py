"""Traces in the view of everything: exact to the last page, and nothing to change there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.plugin.endpoints_traces import location
from tests.plugin.world import API as V2
from tests.plugin.world import World
from tests.plugin.world_traces import API as V3
from tests.plugin.world_traces import get, ids, new_trace, trace_info
from tests.servers.mlflow import MLflow, everything, project

EACH, PAGE = 9, 7


@dataclass(frozen=True, slots=True)
class Crowd:
    """Experiments of four projects, of which the last is hidden, and traces as (time, id)."""

    experiments: dict[int, str]
    traces: dict[int, list[tuple[int, str]]]

    @property
    def granted(self) -> list[int]:
        """The projects that the caller sees."""
        return list(self.experiments)[:-1]

    @property
    def seen(self) -> list[tuple[int, str]]:
        """The traces that the caller sees."""
        return [each for number in self.granted for each in self.traces[number]]


@pytest.fixture(scope="module")
def crowd(server: MLflow, next_number: Callable[[], int]) -> Crowd:
    experiments, traces = {}, {}
    for number in (next_number() for _ in range(4)):
        grant = project(number)
        created = server.ask("POST", f"{V2}/experiments/create", grant, {"name": "crowd"})
        experiments[number] = created.json["experiment_id"]
        # Two of each project begin at a time, as do those of all the others.
        traces[number] = [(place // 2, new_trace()) for place in range(EACH)]
        for second, trace_id in traces[number]:
            began = f"2026-01-01T00:00:0{second}Z"
            info = trace_info(experiments[number], trace_id, request_time=began)
            assert server.ask("POST", f"{V3}/traces", grant, info).status == 200
    return Crowd(experiments, traces)


def pages(server: MLflow, crowd: Crowd, **more: object) -> list[list[str]]:
    """Read a search to its end."""
    found, token = [], ""
    while True:
        places = [location(experiment) for experiment in crowd.experiments.values()]
        body = {"locations": places, "max_results": PAGE, "page_token": token, **more}
        answer = server.ask("POST", f"{V3}/traces/search", everything(*crowd.granted), body)
        found.append(ids(answer))
        token = answer.json.get("next_page_token", "")
        if not token:
            return found


@pytest.mark.parametrize(
    ("order", "key"),
    [
        ([], lambda each: (-each[0], each[1])),
        (["timestamp_ms ASC"], lambda each: each),
        (["execution_time DESC"], lambda each: (-each[0], each[1])),
    ],
    ids=["default", "time", "equal"],
)
def test_every_trace_comes_once_in_mlflows_order(
    server: MLflow, crowd: Crowd, order: list[str], key: Any
) -> None:
    found = pages(server, crowd, order_by=order)

    assert [one for page in found for one in page] == [
        each[1] for each in sorted(crowd.seen, key=key)
    ]
    assert {len(page) for page in found[:-1]} == {PAGE}
    assert len(found[-1]) < PAGE


def test_an_older_client_turns_the_same_pages(server: MLflow, crowd: Crowd) -> None:
    found, token = [], ""
    while True:
        query = {"experiment_ids": [*crowd.experiments.values()], "max_results": PAGE}
        more = {"page_token": token} if token else {}
        answer = get(server, everything(*crowd.granted), f"{V2}/traces", **query, **more)
        found += [each["request_id"] for each in answer.json.get("traces", [])]
        token = answer.json.get("next_page_token", "")
        if not token:
            break
    assert found == [one for page in pages(server, crowd) for one in page]


def test_traces_of_all_granted_projects_are_counted(server: MLflow, crowd: Crowd) -> None:
    grant, places = everything(*crowd.granted), [*crowd.experiments.values()]
    count = {
        "experiment_ids": places,
        "view_type": "TRACES",
        "metric_name": "trace_count",
        "aggregations": [{"aggregation_type": "COUNT"}],
    }
    both = {"filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'"}

    counted = server.ask("POST", f"{V3}/traces/metrics", grant, count).json
    correlated = server.ask(
        "POST",
        f"{V3}/traces/calculate-filter-correlation",
        grant,
        {"experiment_ids": places, **both},
    ).json

    assert counted["data_points"][0]["values"] == {"COUNT": float(3 * EACH)}
    assert correlated["total_count"] == correlated["joint_count"] == 3 * EACH


def test_of_several_traces_the_granted_are_read(server: MLflow, crowd: Crowd) -> None:
    grant = everything(*crowd.granted)
    wanted = [traces[0][1] for traces in crowd.traces.values()]

    infos = server.ask("POST", f"{V3}/traces/batchGetInfos", grant, {"trace_ids": wanted})

    assert ids(infos, "trace_infos") == wanted[:-1]
    assert get(server, grant, f"{V3}/traces/{wanted[-1]}").status == 404


def test_no_projects_have_no_traces(server: MLflow, ours: World) -> None:
    body = {"locations": [location(ours.experiment)]}
    assert ids(server.ask("POST", f"{V3}/traces/search", everything(), body)) == []
    named = get(server, everything(), f"{V3}/traces/get", trace_id=ours.traced.trace)
    assert named.status == 404
