"""Scorers, issues, label schemas and review queues: what a body refers to is of its own project.

Row 106 of the threats, CVE-2026-118626; `test_isolation` asks each endpoint about another project.
"""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from extauthz.grant import Why
from extauthz.levels import Role
from tests.plugin.asking import TWINS, both, done, got, shown
from tests.plugin.world import World
from tests.plugin.world_evaluation import API, SCORER, label_schema, scorer
from tests.plugin.world_traces import new_trace, trace_info
from tests.servers.mlflow import MLflow, project


def test_scorers_of_two_projects_are_listed_for_one(
    server: MLflow, ours: World, theirs: World
) -> None:
    ids = urlencode({"experiment_ids": [theirs.experiment, ours.experiment]}, doseq=True)
    for query in ("", f"?{ids}"):
        for answer in both(server, ours, "GET", f"scorers/list{query}", None):
            (found,) = answer.json["scorers"]
            assert str(found["experiment_id"]) == ours.experiment
            assert not shown(theirs, answer)


def test_a_scorer_of_the_same_name_is_another_projects_own(
    server: MLflow, fresh: World, ours: World
) -> None:
    asked = {"experiment_id": ours.experiment, "name": SCORER}
    before = got(server, ours, "scorers/versions", **asked)

    again = done(server, fresh, "scorers/register", scorer(fresh.experiment, "newer"))
    assert again["version"] == 2
    own = {"experiment_id": fresh.experiment, "name": SCORER}
    done(server, fresh, "scorers/delete", own, "DELETE")

    assert got(server, ours, "scorers/versions", **asked) == before


def test_a_scorer_brings_no_code_and_no_gateway(server: MLflow, ours: World) -> None:
    """Nothing here runs them, but whoever runs scorers elsewhere may ask for them."""
    code = {"name": SCORER, "call_source": "print(1)", "call_signature": "()"}
    gateway = {"builtin_scorer_pydantic_data": {"model": "gateway:/shared"}}
    before = server.contents()

    for data, status in ((code, 400), (gateway, 404)):
        body = scorer(ours.experiment, "") | {"serialized_scorer": json.dumps(data)}
        for answer in both(server, ours, "POST", "scorers/register", body):
            assert answer.status == status, answer.body

    assert server.contents() == before


def test_no_scorer_runs_by_itself(server: MLflow, ours: World, theirs: World) -> None:
    """It would be a job of the server; MLflow's client asks whether it is one."""
    ids = [got(server, w, "scorers/list")["scorers"][0]["scorer_id"] for w in (ours, theirs)]
    query = urlencode({"scorer_ids": ids}, doseq=True)
    before = server.contents()

    for answer in both(server, ours, "GET", f"scorers/online-configs?{query}", None):
        assert (answer.status, answer.json) == (200, {"configs": []})
    body = {"experiment_id": ours.experiment, "name": SCORER, "sample_rate": 1.0}
    for answer in both(server, ours, "PUT", "scorers/online-config", body):
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
        assert "job" in answer.json["message"]

    assert server.contents() == before


def test_an_issue_comes_from_a_run_of_the_project(
    server: MLflow, ours: World, theirs: World
) -> None:
    issue = {"experiment_id": ours.experiment, "name": "i", "description": "d"}
    before = server.contents()

    for run in (theirs.run, "0" * 32):
        for answer in both(server, ours, "POST", "issues", {**issue, "source_run_id": run}):
            assert answer.status == 404, answer.body
    for text in (f"source_run_id = '{theirs.run}'", f"source_run_id != '{ours.run}'"):
        assert "issues" not in done(server, ours, "issues/search", {"filter_string": text})
    for answer in both(server, ours, "POST", "issues/search", {}):
        (found,) = answer.json["issues"]
        assert found["issue_id"] == ours.evaluated.issue

    assert server.contents() == before


def test_what_another_project_says_of_an_issue_is_not_counted(
    server: MLflow, fresh: World, theirs: World
) -> None:
    """MLflow 3.17 ties a trace to an issue by a name, which anybody may write."""
    said = {"assessment_name": fresh.evaluated.issue, "issue": {"issue_name": "i"}}
    body = {"assessment": {**said, "source": {"source_type": "HUMAN", "source_id": "x"}}}
    before = server.contents()

    foreign = f"traces/{theirs.evaluated.reviewed}/assessments"
    for answer in both(server, theirs, "POST", foreign, body):
        assert answer.status == 404, answer.body
    assert server.contents() == before

    done(server, fresh, f"traces/{fresh.evaluated.reviewed}/assessments", body)
    (found,) = done(server, fresh, "issues/search", {"include_trace_count": True})["issues"]
    assert int(found["trace_count"]) == 1


def test_a_reader_lists_label_schemas_and_makes_none(server: MLflow, number: int) -> None:
    """MLflow 3.17 adds a first one when they are listed."""
    developer, reader = project(number), project(number, Role.READ, Why.GUEST)
    path = "/api/2.0/mlflow/experiments/create"
    made = server.ask("POST", path, developer, {"name": "e"}).json["experiment_id"]
    before = server.contents()

    for twin in TWINS:
        answer = server.ask("GET", f"{twin}/label-schemas/list?experiment_id={made}", reader)
        assert (answer.status, answer.json.get("label_schemas", [])) == (200, [])
    assert server.contents() == before

    listed = server.ask("GET", f"{API}/label-schemas/list?experiment_id={made}", developer).json
    assert [schema["is_default"] for schema in listed["label_schemas"]] == [True]
    again = server.ask("GET", f"{API}/label-schemas/list?experiment_id={made}", reader).json
    assert again == listed


def test_a_queue_asks_questions_of_its_own_experiment(
    server: MLflow, ours: World, theirs: World, fresh: World
) -> None:
    queue = {"experiment_id": fresh.experiment, "name": "q", "queue_type": "CUSTOM"}
    made = done(server, fresh, "review-queues/create", queue)["review_queue"]["queue_id"]
    before = server.contents()

    for asked in ([theirs.evaluated.schema], [fresh.evaluated.schema, ours.evaluated.schema]):
        create = {**queue, "name": "new", "schema_ids": asked}
        update = {"queue_id": made, "update_schema_ids": True, "schema_ids": asked}
        for path, body in (("create", create), ("update", update)):
            for answer in both(server, fresh, "POST", f"review-queues/{path}", body):
                assert answer.status == 400, answer.body

    assert server.contents() == before


def test_a_queue_holds_traces_of_its_own_experiment(
    server: MLflow, ours: World, fresh: World
) -> None:
    """MLflow knows a trace in a queue by its id alone."""
    own, elsewhere = fresh.evaluated.waiting, new_trace()
    done(server, fresh, "traces", trace_info(fresh.evaluated.experiment, elsewhere))
    foreign = ours.evaluated.reviewed
    before = server.contents()

    for ids in ([foreign], [own, foreign], [f" {foreign} "], [elsewhere], ["tr-nowhere"]):
        body = {"queue_id": fresh.evaluated.queue, "item_ids": ids}
        for answer in both(server, fresh, "POST", "review-queues/items/add", body):
            assert answer.status == 404, (ids, answer.body)
    done(server, fresh, "review-queues/items/remove", {**body, "item_ids": [foreign]})
    asked = {"experiment_id": fresh.experiment, "item_id": foreign}
    assert "review_queues" not in got(server, fresh, "review-queues/list", **asked)

    assert server.contents() == before


def test_who_reviews_is_who_asks(server: MLflow, fresh: World) -> None:
    """MLflow 3.17 lets anybody be named, where it does not know who calls."""
    queue = {"experiment_id": fresh.experiment, "name": "q", "queue_type": "CUSTOM"}
    made = done(server, fresh, "review-queues/create", {**queue, "created_by": "mallory"})
    assert made["review_queue"]["created_by"] == "Ann"

    path = "review-queues/items/set-status"
    item = {"queue_id": fresh.evaluated.queue, "item_id": fresh.evaluated.reviewed}
    closing = {**item, "status": "COMPLETE", "completed_by": "mallory"}
    assert done(server, fresh, path, closing)["item"]["completed_by"] == "ann"
    reopened = done(server, fresh, path, {**item, "status": "PENDING"})
    assert "completed_by" not in reopened["item"]


def test_names_are_free_in_every_project(
    server: MLflow, next_number: Callable[[], int], ours: World
) -> None:
    number = next_number()
    path = "/api/2.0/mlflow/experiments/create"
    made = server.ask("POST", path, project(number), {"name": "e"}).json["experiment_id"]
    here = World(number, made, "", "")

    done(server, here, "datasets/create", {"name": ours.own})
    done(server, here, "label-schemas/create", label_schema(made, ours.own))
    named = {"experiment_id": made, "name": ours.own, "queue_type": "CUSTOM"}
    done(server, here, "review-queues/create", named)
    again = server.ask("POST", f"{API}/review-queues/create", here.grant, named)

    assert again.json["error_code"] == "RESOURCE_ALREADY_EXISTS"
    assert ours.evaluated.queue.encode() not in again.body


def test_a_user_has_one_queue_in_an_experiment(
    server: MLflow, fresh: World, next_number: Callable[[], int]
) -> None:
    path, other = "/api/2.0/mlflow/experiments/create", next_number()
    made = server.ask("POST", path, project(other), {"name": "e"}).json["experiment_id"]
    queues = [
        done(
            server,
            world,
            "review-queues/get-or-create-user",
            {"experiment_id": world.experiment, "user": "Everybody"},
        )["review_queue"]
        for world in (fresh, World(other, made, "", ""), fresh)
    ]

    assert queues[0] == queues[2]
    assert len({queue["queue_id"] for queue in queues}) == 2
    assert {queue["name"] for queue in queues} == {"everybody"}


@pytest.mark.parametrize("path", ["label-schemas/delete", "review-queues/delete"])
def test_what_is_not_there_is_missing_rather_than_deleted(
    server: MLflow, ours: World, path: str
) -> None:
    method = "DELETE" if path.startswith("label") else "POST"
    body = {"schema_id": "ls-nowhere", "queue_id": "rq-nowhere"}

    for answer in both(server, ours, method, path, body):
        assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
