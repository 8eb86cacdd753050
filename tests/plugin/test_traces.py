"""Traces across the line between projects: ids, filters, lists and counts.

The numbers are rows of the list of threats that the tests are made from.
"""

from collections.abc import Callable
from typing import Any

import pytest

from extauthz.grant import Grant
from tests.plugin.endpoints_traces import location
from tests.plugin.world import API as V2
from tests.plugin.world import World
from tests.plugin.world_traces import API as V3
from tests.plugin.world_traces import get, ids, new_trace, trace_info
from tests.servers.mlflow import MLflow, everything

# In its project, and where no project is named.
VIEWS = pytest.mark.parametrize(
    "view", [lambda world: world.grant, lambda world: everything(world.number)], ids=["own", "all"]
)
View = Callable[[World], Grant]
COUNT = {
    "view_type": "TRACES",
    "metric_name": "trace_count",
    "aggregations": [{"aggregation_type": "COUNT"}],
}


def test_an_id_that_another_project_has_is_not_to_be_had(
    server: MLflow, ours: World, theirs: World
) -> None:
    """103"""
    before = server.contents()
    for more in ({}, {"tags": {"secret": "mine"}}, {"request_preview": "mine"}):
        info = trace_info(ours.experiment, theirs.traced.trace, **more)
        answer = server.ask("POST", f"{V3}/traces", ours.grant, info)
        assert answer.status == 404, answer.body
    assert server.contents() == before


@VIEWS
def test_of_several_traces_only_the_own_are_read(
    server: MLflow, ours: World, theirs: World, view: View
) -> None:
    """83, 101"""
    both = [theirs.traced.trace, ours.traced.trace, new_trace(), theirs.evaluated.reviewed]
    places = [theirs.experiment, ours.experiment, "999999"]
    own = [ours.traced.trace]
    mine = {*own, ours.evaluated.reviewed, ours.evaluated.waiting}
    for root in ("/api", "/ajax-api"):
        version3 = f"{root}/3.0/mlflow/traces"
        assert ids(get(server, view(ours), f"{version3}/batchGet", trace_ids=both)) == own
        scoped = {"trace_ids": both, "experiment_ids": [theirs.experiment]}
        assert ids(get(server, view(ours), f"{version3}/batchGet", **scoped)) == []
        infos = server.ask("POST", f"{version3}/batchGetInfos", view(ours), {"trace_ids": both})
        assert ids(infos, "trace_infos") == own
        older = get(server, view(ours), f"{root}/2.0/mlflow/traces", experiment_ids=places)
        assert {each["request_id"] for each in older.json["traces"]} == mine
        search = {"locations": [location(place) for place in places]}
        assert {*ids(server.ask("POST", f"{version3}/search", view(ours), search))} == mine
        hidden = search | {"filter": f"request_id IN ('{theirs.traced.trace}')"}
        assert ids(server.ask("POST", f"{version3}/search", view(ours), hidden)) == []


@VIEWS
@pytest.mark.parametrize("kind", ["TRACES", "SPANS", "ASSESSMENTS"])
def test_only_what_is_the_projects_own_is_counted(
    server: MLflow, ours: World, theirs: World, kind: str, view: View
) -> None:
    """101"""
    name = {"TRACES": "trace_count", "SPANS": "span_count", "ASSESSMENTS": "assessment_count"}
    asked = {**COUNT, "view_type": kind, "metric_name": name[kind]}

    def count(*places: World) -> Any:
        body = asked | {"experiment_ids": [place.experiment for place in places]}
        answer = server.ask("POST", f"{V3}/traces/metrics", view(ours), body)
        assert answer.status == 200, answer.body
        return answer.json.get("data_points")

    alone = count(ours)
    assert alone
    assert count(ours, theirs) == alone
    assert [point.get("values") for point in count(theirs) or ()] in ([], [{"COUNT": 0.0}])


@VIEWS
def test_only_the_projects_own_traces_correlate(
    server: MLflow, ours: World, theirs: World, view: View
) -> None:
    """101"""
    filters = {"filter_string1": "status = 'OK'", "filter_string2": "tag.secret LIKE 'secret%'"}

    def counts(*places: World, **more: str) -> tuple[int, ...]:
        body = {"experiment_ids": [place.experiment for place in places], **filters, **more}
        path = f"{V3}/traces/calculate-filter-correlation"
        answer = server.ask("POST", path, view(ours), body)
        assert answer.status == 200, answer.body
        names = ("total_count", "filter1_count", "filter2_count", "joint_count")
        return tuple(answer.json.get(name, 0) for name in names)

    assert counts(ours) == counts(ours, theirs) == (3, 3, 1, 1)
    assert counts(theirs) == (0, 0, 0, 0)
    base = "status = 'OK'"
    assert counts(ours, base_filter=base) == counts(ours, theirs, base_filter=base) == (3, 3, 1, 1)
    assert counts(theirs, base_filter=base) == (0, 0, 0, 0)


@VIEWS
@pytest.mark.parametrize(
    "text",
    [
        "tag.secret = 'secret-{number}'",
        "metadata.secret LIKE 'secret-{number}'",
        "tag.secret IS NOT NULL",
        "feedback.good = 'true'",
        "feedback.good IS NOT NULL",
        "span.name = 'step'",
        "span.attributes.secret LIKE '%secret-{number}%'",
        "metadata.mlflow.sourceRun = '{run}'",
        "prompt = '{own}/1'",
    ],
)
def test_a_filter_finds_nothing_of_another_project(
    server: MLflow, ours: World, fresh: World, text: str, view: View
) -> None:
    """83: each of these is a statement of its own inside the search."""
    for path, body in (
        ("link-to-run", {"trace_ids": [fresh.traced.trace], "run_id": fresh.run}),
        (
            "link-prompts",
            {
                "trace_id": fresh.traced.trace,
                "prompt_versions": [{"name": fresh.own, "version": "1"}],
            },
        ),
    ):
        assert server.ask("POST", f"{V2}/traces/{path}", fresh.grant, body).status == 200
    search = {
        "locations": [location(each.experiment) for each in (ours, fresh)],
        "filter": text.format(number=fresh.number, run=fresh.run, own=fresh.own),
    }

    found = ids(server.ask("POST", f"{V3}/traces/search", fresh.grant, search))
    seen = ids(server.ask("POST", f"{V3}/traces/search", view(ours), search))

    assert found == [fresh.traced.trace]
    assert {*seen} <= {ours.traced.trace}


def test_expressions_are_as_short_as_everywhere(server: MLflow, ours: World) -> None:
    long = f"tag.a = '{'x' * 17_000}'"
    for path, field in (
        ("search", "filter"),
        ("metrics", "filters"),
        ("calculate-filter-correlation", "filter_string1"),
        ("calculate-filter-correlation", "filterString2"),
        ("calculate-filter-correlation", "base_filter"),
    ):
        body = {"locations": [location(ours.experiment)], field: long}
        answer = server.ask("POST", f"{V3}/traces/{path}", ours.grant, body)
        assert answer.status == 400
        assert answer.json["message"] == f"`{field}` has at most 16 KiB"


def test_sqlite_matches_no_regular_expressions(server: MLflow, ours: World) -> None:
    """One that backtracks would hold the whole server up; PostgreSQL holds up itself."""
    expected = 400 if server.kept is None else 200
    text = "tag.secret RLIKE '(s+)+$'"
    search = {"locations": [location(ours.experiment)], "filter": text}
    both = {"filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'"}
    correlation = {"experiment_ids": [ours.experiment], **both}
    asked = [("search", search)]
    asked += [("calculate-filter-correlation", {**correlation, name: text}) for name in both]
    asked += [("calculate-filter-correlation", {**correlation, "base_filter": text})]
    for path, body in asked:
        answer = server.ask("POST", f"{V3}/traces/{path}", ours.grant, body)
        assert answer.status == expected, answer.body


def linked(server: MLflow, world: World, run: str) -> list[str]:
    search = {
        "locations": [location(world.experiment)],
        "filter": f"metadata.mlflow.sourceRun = '{run}'",
    }
    return ids(server.ask("POST", f"{V3}/traces/search", world.grant, search))


def test_a_link_joins_a_run_and_a_trace_of_one_project(
    server: MLflow, fresh: World, theirs: World
) -> None:
    """101, both ways."""
    before = server.contents()
    for traces, run, status in (
        ([theirs.traced.trace], fresh.run, 200),
        ([fresh.traced.trace], theirs.run, 404),
        ([theirs.traced.trace], theirs.run, 404),
    ):
        body = {"trace_ids": traces, "run_id": run}
        answer = server.ask("POST", f"{V2}/traces/link-to-run", fresh.grant, body)
        assert answer.status == status, answer.body
        assert server.contents() == before

    mixed = {"trace_ids": [theirs.traced.trace, fresh.traced.trace], "run_id": fresh.run}
    assert server.ask("POST", f"{V2}/traces/link-to-run", fresh.grant, mixed).status == 200
    assert linked(server, fresh, fresh.run) == [fresh.traced.trace]
    assert linked(server, theirs, fresh.run) == []


def test_a_prompt_is_linked_that_the_project_has(
    server: MLflow, ours: World, theirs: World
) -> None:
    before = server.contents()
    for name, version in ((theirs.own, "1"), (ours.own, "2"), ("nobody's", "1")):
        prompts = [{"name": ours.own, "version": "1"}, {"name": name, "version": version}]
        body = {"trace_id": ours.traced.trace, "prompt_versions": prompts}
        answer = server.ask("POST", f"{V2}/traces/link-prompts", ours.grant, body)
        assert answer.status == 404, answer.body
    assert server.contents() == before


@pytest.mark.parametrize("version", [V2, V3])
def test_only_the_projects_own_traces_are_deleted(
    server: MLflow, fresh: World, theirs: World, version: str
) -> None:
    """101"""
    other, own = theirs.traced.trace, fresh.traced.trace
    late = 2_000_000_000_000
    before = server.contents()
    for body, status in (
        ({"experiment_id": theirs.experiment, "request_ids": [other]}, 404),
        ({"experiment_id": theirs.experiment, "request_ids": [own]}, 404),
        ({"experiment_id": theirs.experiment, "max_timestamp_millis": late}, 404),
        ({"experiment_id": fresh.experiment, "request_ids": [other]}, 200),
    ):
        answer = server.ask("POST", f"{version}/traces/delete-traces", fresh.grant, body)
        assert answer.status == status, answer.body
        assert server.contents() == before

    def delete(**which: object) -> object:
        body = {"experiment_id": fresh.experiment, **which}
        path = f"{version}/traces/delete-traces"
        return server.ask("POST", path, fresh.grant, body).json["traces_deleted"]

    assert delete(request_ids=[other, own]) == 1
    assert delete(max_timestamp_millis=late, max_traces=1) == 1
    assert delete(max_timestamp_millis=late) == 1
    search = {"locations": [location(each.experiment) for each in (fresh, theirs)]}
    assert ids(server.ask("POST", f"{V3}/traces/search", fresh.grant, search)) == []
    assert len(ids(server.ask("POST", f"{V3}/traces/search", theirs.grant, search))) == 3


def test_a_token_of_another_projects_page_opens_a_page_of_this_one(
    server: MLflow, ours: World, theirs: World
) -> None:
    """97"""
    search = {
        "locations": [location(each.experiment) for each in (ours, theirs)],
        "max_results": 2,
    }
    page = server.ask("POST", f"{V3}/traces/search", theirs.grant, search).json
    turned = search | {"page_token": page["next_page_token"]}

    own = ids(server.ask("POST", f"{V3}/traces/search", ours.grant, search))
    rest = ids(server.ask("POST", f"{V3}/traces/search", ours.grant, turned))

    assert {*own, *rest} <= {
        ours.traced.trace,
        ours.evaluated.reviewed,
        ours.evaluated.waiting,
    }
    assert (len(own), len(rest)) == (2, 1)


def test_reads_have_no_other_method(server: MLflow, ours: World) -> None:
    for path in (
        f"{V3}/traces/get?trace_id={ours.traced.trace}",
        f"{V3}/traces/{ours.traced.trace}",
        f"{V2}/traces?experiment_ids={ours.experiment}",
    ):
        assert server.ask("HEAD", path, ours.grant).status == 403
