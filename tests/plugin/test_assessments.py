"""Assessments of traces: of whose trace, by which id, and what they say of other rows.

CVE-2025-15381: MLflow had no permissions on these endpoints. Row 102 of the threats.
"""

from typing import Any

import pytest

from tests.plugin.world import World
from tests.plugin.world_traces import API, feedback, new_trace, trace_info
from tests.servers.mlflow import Answer, MLflow


def create(server: MLflow, writer: World, named: World, **more: object) -> Answer:
    """Assess a trace."""
    path = f"{API}/traces/{named.traced.trace}/assessments"
    return server.ask("POST", path, writer.grant, feedback("new", **more))


def stored(server: MLflow, world: World) -> Any:
    path = f"{API}/traces/{world.traced.trace}/assessments/{world.traced.assessment}"
    return server.ask("GET", path, world.grant).json["assessment"]


@pytest.mark.parametrize("root", ["/api", "/ajax-api"])
def test_an_assessment_of_another_project_is_not_below_an_own_trace(
    server: MLflow, ours: World, theirs: World, root: str
) -> None:
    own, other = ours.traced, theirs.traced
    changed = {**feedback("renamed"), "update_mask": "assessmentName"}
    before = server.contents()
    for trace_id, assessment_id in (
        (own.trace, other.assessment),
        (other.trace, own.assessment),
        (other.trace, other.assessment),
    ):
        path = f"{root}/3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}"
        assert server.ask("GET", path, ours.grant).status == 404
        assert server.ask("PATCH", path, ours.grant, changed).status == 404
        # MLflow deletes what is not there without a word, below a trace that is.
        missing = 200 if trace_id == own.trace else 404
        assert server.ask("DELETE", path, ours.grant).status == missing
    assert server.contents() == before


def test_an_assessment_names_nothing_of_another_project(
    server: MLflow, ours: World, theirs: World
) -> None:
    other = theirs.traced
    before = server.contents()
    for more, statuses in (
        ({"overrides": other.assessment}, {404}),
        ({"metadata": {"mlflow.assessment.sourceRunId": theirs.run}}, {404}),
        # MLflow answers 500 to an id that is taken, whoever has it.
        ({"assessment_id": other.assessment}, {400, 404, 500}),
    ):
        answer = create(server, ours, ours, **more)
        assert answer.status in statuses, (more, answer.body)
        assert f"secret-{theirs.number}".encode() not in answer.body
    assert create(server, ours, theirs, trace_id=ours.traced.trace).status == 404
    assert server.contents() == before


def test_an_assessment_is_of_the_trace_in_the_address(
    server: MLflow, fresh: World, theirs: World
) -> None:
    before = stored(server, theirs)
    body = feedback("new", trace_id=theirs.traced.trace, span_id="0000000000000001")
    path = f"{API}/traces/{fresh.traced.trace}/assessments"

    answer = server.ask("POST", path, fresh.grant, body)

    assert answer.json["assessment"]["trace_id"] == fresh.traced.trace
    assert stored(server, theirs) == before
    found = server.ask("GET", f"{API}/traces/{theirs.traced.trace}", theirs.grant).json
    assert len(found["trace"]["trace_info"]["assessments"]) == 1


def test_a_trace_that_starts_with_assessments_brings_only_its_own(
    server: MLflow, fresh: World, theirs: World
) -> None:
    """MLflow does not look at what these override, nor at whose id they have."""
    before = stored(server, theirs)
    taken = feedback(assessment_id=theirs.traced.assessment)["assessment"]
    override = feedback(overrides=theirs.traced.assessment)["assessment"]
    started = new_trace()

    for trace_id in (new_trace(), fresh.traced.trace):
        info = trace_info(fresh.experiment, trace_id, assessments=[taken])
        contents = server.contents()
        refused = server.ask("POST", f"{API}/traces", fresh.grant, info)
        assert refused.status in (400, 404), refused.body
        assert server.contents() == contents
    info = trace_info(fresh.experiment, started, assessments=[override])
    answer = server.ask("POST", f"{API}/traces", fresh.grant, info)
    assert answer.status == 200, answer.body
    (made,) = answer.json["trace"]["trace_info"]["assessments"]
    path = f"{API}/traces/{started}/assessments/{made['assessment_id']}"
    assert server.ask("DELETE", path, fresh.grant).status == 200

    assert stored(server, theirs) == before


def test_an_own_assessment_is_overridden_and_restored(server: MLflow, fresh: World) -> None:
    first = fresh.traced.assessment
    made = create(server, fresh, fresh, overrides=first)
    assert made.status == 200, made.body
    assert stored(server, fresh)["valid"] is False
    second = made.json["assessment"]["assessment_id"]
    path = f"{API}/traces/{fresh.traced.trace}/assessments/{second}"
    assert server.ask("DELETE", path, fresh.grant).status == 200
    assert stored(server, fresh)["valid"] is True
