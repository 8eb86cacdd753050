"""Evaluation datasets: ids in bodies, lists and tokens that are of two projects.

Row 105 of the threats; `test_isolation` asks each endpoint about another project.
"""

import json
from urllib.parse import urlencode

import pytest

from extauthz.plugin.rules import FLASK
from tests.plugin.asking import TWINS, both, done, got, shown
from tests.plugin.world import World
from tests.plugin.world_evaluation import API, record
from tests.servers.mlflow import MLflow


@pytest.mark.parametrize(
    "ids", ["{theirs}", "{ours} {theirs}", "{theirs} {ours}", "0{ours}", "+{ours}", "x", "99999999"]
)
def test_a_dataset_is_made_in_experiments_of_the_project_only(
    server: MLflow, ours: World, theirs: World, ids: str
) -> None:
    """MLflow 3.17 takes any id, and links to it."""
    named = ids.format(ours=ours.experiment, theirs=theirs.experiment).split()
    before = server.contents()

    answers = both(server, ours, "POST", "datasets/create", {"name": "d", "experiment_ids": named})

    assert [answer.status for answer in answers] == [404, 404], answers
    assert server.contents() == before


def test_a_dataset_without_an_experiment_belongs_to_its_project(
    server: MLflow, fresh: World, theirs: World
) -> None:
    lonely = done(server, fresh, "datasets/create", {"name": "lonely"})["dataset"]["dataset_id"]

    assert lonely in str(got(server, fresh, "datasets/search"))
    assert got(server, fresh, f"datasets/{lonely}/experiment-ids") == {}
    assert lonely not in str(got(server, theirs, "datasets/search"))
    assert server.ask("GET", f"{API}/datasets/{lonely}", theirs.grant).status == 404


def test_a_dataset_is_added_to_experiments_of_its_own_project(
    server: MLflow, ours: World, theirs: World
) -> None:
    """MLflow 3.17 saves the links in bulk, past whatever checks rows."""
    before = server.contents()

    for owner, *experiments in (
        (theirs, ours),
        (theirs, theirs),
        (ours, theirs),
        (ours, ours, theirs),
    ):
        path = f"datasets/{owner.evaluated.dataset}/add-experiments"
        body = {"experiment_ids": [world.experiment for world in experiments]}
        for answer in both(server, ours, "POST", path, body):
            assert answer.status == 404, (path, body)

    assert server.contents() == before


def test_what_is_not_linked_is_not_unlinked(server: MLflow, ours: World, theirs: World) -> None:
    before = server.contents()

    for owner, status in ((ours, 200), (theirs, 404)):
        path = f"datasets/{owner.evaluated.dataset}/remove-experiments"
        for ids in ([theirs.experiment], [theirs.evaluated.experiment, "99999999"]):
            for answer in both(server, ours, "POST", path, {"experiment_ids": ids}):
                assert answer.status == status, answer.body
                assert not shown(theirs, answer, sent=(path, ids))

    assert server.contents() == before


def test_experiments_are_added_once(server: MLflow, fresh: World) -> None:
    """PostgreSQL refuses what MLflow 3.17 asks it here: numbers are compared with text."""
    dataset, ids = fresh.evaluated.dataset, {fresh.experiment, fresh.evaluated.experiment}
    path, named = f"datasets/{dataset}/add-experiments", [fresh.experiment, *ids]

    for _ in range(2):
        done(server, fresh, path, {"experiment_ids": named})
        found = got(server, fresh, f"datasets/{dataset}/experiment-ids")["experiment_ids"]
        assert sorted(found) == sorted(ids)
    for experiment in ids:
        (found,) = got(server, fresh, "datasets/search", experiment_ids=experiment)["datasets"]
        assert found["dataset_id"] == dataset
    for answer in both(server, fresh, "POST", path, {"experiment_ids": ["x"]}):
        assert answer.status == 400


@pytest.mark.parametrize("kind", ["TRACE", "trace"])
def test_a_record_comes_from_a_trace_of_the_project(
    server: MLflow, fresh: World, ours: World, kind: str
) -> None:
    """MLflow 3.17 takes any id."""
    path, own = f"datasets/{fresh.evaluated.dataset}/records", fresh.evaluated.waiting

    def sent(trace_id: str) -> dict[str, str]:
        source = {"source_type": kind, "source_data": {"trace_id": trace_id}}
        return {"records": json.dumps([record("a", own), record("b", own) | {"source": source}])}

    before = server.contents()
    for trace_id in (ours.evaluated.reviewed, "tr-nowhere"):
        for answer in both(server, fresh, "POST", path, sent(trace_id)):
            assert answer.status == 404, answer.body
    assert server.contents() == before

    assert done(server, fresh, path, sent(own))["inserted_count"] == 2


def test_a_record_comes_from_anything_that_is_no_row(server: MLflow, fresh: World) -> None:
    sources = [
        {"source_type": "HUMAN", "source_data": {"source_id": "ann"}},
        {"source_type": "DOCUMENT", "source_data": {"doc_uri": "x"}},
        {"source_type": "CODE"},
        {"source_type": "UNSPECIFIED"},
        None,
    ]
    records = [{"inputs": {"n": n}, "source": source} for n, source in enumerate(sources)]
    path = f"datasets/{fresh.evaluated.dataset}/records"

    assert done(server, fresh, path, {"records": json.dumps(records)})["inserted_count"] == 5


def test_records_are_deleted_from_the_dataset_that_is_named(
    server: MLflow, ours: World, theirs: World
) -> None:
    before = server.contents()
    body = {"dataset_record_ids": [theirs.evaluated.record]}

    for answer in both(server, ours, "DELETE", f"datasets/{ours.evaluated.dataset}/records", body):
        assert (answer.status, answer.json.get("deleted_count", 0)) == (200, 0)

    assert server.contents() == before


@pytest.mark.parametrize("held", ["records", "experiment-ids"])
def test_what_another_projects_dataset_holds_is_missing(
    server: MLflow, ours: World, theirs: World, held: str
) -> None:
    """MLflow 3.17 answers 500, or an empty list: these two handlers catch nothing."""
    for twin in TWINS:
        answer = server.ask("GET", f"{twin}/datasets/{theirs.evaluated.dataset}/{held}", ours.grant)
        assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_search_in_experiments_of_two_projects_finds_what_one_has(
    server: MLflow, ours: World, theirs: World, method: str
) -> None:
    both_projects = [world.evaluated.experiment for world in (theirs, ours)]
    for fields in ({"experiment_ids": both_projects}, {}):
        query, body = (
            (f"?{urlencode(fields, doseq=True)}", None) if method == "GET" else ("", fields)
        )
        for answer in both(server, ours, method, f"datasets/search{query}", body):
            (found,) = answer.json["datasets"]
            assert found["dataset_id"] == ours.evaluated.dataset
            assert not shown(theirs, answer)


def test_pages_go_on_in_the_dataset_that_is_named(
    server: MLflow, fresh: World, theirs: World
) -> None:
    """A token names a moment and a record, which may be another project's."""
    path = f"datasets/{fresh.evaluated.dataset}/records"
    more = [record(f"secret-{fresh.number}-{n}", fresh.evaluated.waiting) for n in range(3)]
    done(server, fresh, path, {"records": json.dumps(more)})
    first = got(server, fresh, path, max_results=1)
    found, token = json.loads(first["records"]), first["next_page_token"]
    while token:
        page = got(server, fresh, path, max_results=1, page_token=token)
        found += json.loads(page["records"])
        token = page.get("next_page_token", "")
    assert len({each["dataset_record_id"] for each in found}) == len(found) == 4

    query = urlencode({"page_token": first["next_page_token"]})
    for owner, status in ((fresh, 404), (theirs, 200)):
        target = f"{API}/datasets/{owner.evaluated.dataset}/records?{query}"
        answer = server.ask("GET", target, theirs.grant)
        assert answer.status == status
        assert not shown(fresh, answer, sent=target)


@pytest.mark.parametrize("size", [-1, 50_001])
def test_a_page_of_records_has_a_size(server: MLflow, ours: World, size: int) -> None:
    for twin in TWINS:
        target = f"{twin}/datasets/{ours.evaluated.dataset}/records?max_results={size}"
        assert server.ask("GET", target, ours.grant).status == 400


def test_tags_that_move_a_location_are_reserved(server: MLflow, ours: World) -> None:
    tags = {"tags": json.dumps({"colour": "red", "mlflow.artifactLocation": "file:///etc"})}
    before = server.contents()

    for answer in (
        *both(server, ours, "POST", "datasets/create", {"name": "tagged", **tags}),
        *both(server, ours, "PATCH", f"datasets/{ours.evaluated.dataset}/tags", tags),
    ):
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")

    assert server.contents() == before


@pytest.mark.parametrize("path", sorted({path for _, path in FLASK if "/datasets/" in path}))
def test_a_head_request_is_no_second_way_to_ask(server: MLflow, ours: World, path: str) -> None:
    """Threat 109: MLflow would take the parameters of such a request from its body."""
    target = path.replace("<dataset_id>", ours.evaluated.dataset).replace("<key>", "secret")

    assert server.ask("HEAD", target, ours.grant).status == 403


@pytest.mark.parametrize("path", ["datasets/search", "issues/search"])
@pytest.mark.parametrize("field", ["filter_string", "filterString"])
def test_a_filter_may_be_just_so_long(server: MLflow, ours: World, path: str, field: str) -> None:
    """MLflow parses a megabyte of it for minutes, and holds everybody else up."""
    for answer in both(server, ours, "POST", path, {field: f"name = '{'x' * 17_000}'"}):
        assert (answer.status, answer.json["message"]) == (400, f"`{field}` has at most 16 KiB")


def test_experiments_are_numbers(server: MLflow, ours: World) -> None:
    for answer in both(server, ours, "POST", "datasets/search", {"experiment_ids": ["x"]}):
        assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
