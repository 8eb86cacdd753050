"""One view over all projects of a caller, before the answers that a plain sort gives."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.e2e.crowd import experiments, insert, models, versions
from tests.gitlab import DEVELOPER, GUEST
from tests.plugin.endpoints import CREATES, READS, WRITES
from tests.plugin.world import build
from tests.polling import eventually
from tests.servers.stack import Stack
from tests.tenants import Tenants, unique

VISIBLE_PROJECTS, VISIBLE = 101, 1_001
# Ids that no experiment of another test gets.
FIRST = 1_000_000
NAMES = ("detector", "segmenter", "translator")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crowd:
    """A member of many projects, and the rows of theirs that a plain sort works on."""

    tenants: Tenants
    token: str
    experiments: list[Row]
    models: list[Row]

    @property
    def caller(self) -> Caller:
        return self.tenants.everywhere(self.token)


@pytest.fixture(scope="module")
def crowd(whole_stack: Stack) -> Crowd:
    """Fill 101 projects of one group, and as many others, with rows that lie between each other."""
    tenants, gitlab, server = Tenants(whole_stack), whole_stack.gitlab, whole_stack.mlflow
    groups = unique("theirs"), unique("ours")
    projects: list[dict[str, object]] = [
        {"path": f"{groups[number % 2]}/project-{number}"} for number in range(2 * VISIBLE_PROJECTS)
    ]
    made = gitlab.batch(*(("create_project", project) for project in projects))
    ids = [project["id"] for project in made]
    user = tenants.user()
    gitlab.add_member(groups[1], user, GUEST)
    rows = experiments(FIRST, ids, 2 * VISIBLE)
    deleted = experiments(2 * FIRST, ids, 400, stage="deleted")
    insert(server, "experiments", [*rows, *deleted])
    insert(server, "experiment_tags", [*tags([*rows, *deleted])])
    registered = models(ids, NAMES)
    insert(server, "registered_models", registered)
    insert(server, "model_versions", versions(registered))
    ours = {f"p{number}" for number in ids[1::2]}
    crowd = Crowd(
        tenants,
        tenants.token(user),
        [row for row in [*rows, *deleted] if row["workspace"] in ours],
        [row for row in registered if row["workspace"] in ours],
    )
    eventually(lambda: len(crowd.caller.post("experiments/search", max_results=1)), 2)
    return crowd


def tags(rows: list[Row]) -> Iterator[Row]:
    """Yield a tag for every third experiment."""
    for row in rows[::3]:
        yield {"experiment_id": row["experiment_id"], "key": "colour", "value": "blue"}


def pages(caller: Caller, endpoint: str, **arguments: Any) -> Iterator[list[Row]]:
    """Read to the end; yields what each page held."""
    what = endpoint.split(" ")[1].removesuffix("/search").replace("-", "_")
    while True:
        answer = caller.call(endpoint, **arguments).json()
        yield answer.get(what, [])
        if not (token := answer.get("next_page_token", "")):
            return
        arguments["page_token"] = token


def test_mlflows_client_reads_it_in_pages_of_seven(crowd: Crowd, tmp_path: Path) -> None:
    """Threat 97."""
    read = run_client(
        "search", uri=crowd.caller.uri, folder=tmp_path, MLFLOW_TRACKING_TOKEN=crowd.token
    )["pages"]
    active = plainly_sorted(filter(is_active, crowd.experiments), "-creation_time", "experiment_id")
    assert len(active) == VISIBLE
    assert [int(found) for found in chain(*read)] == ids(active)
    assert {len(page) for page in read[:-1]} == {7}
    assert len(read) == VISIBLE // 7


def plainly_sorted(rows: Iterable[Row], *columns: str) -> list[Row]:
    """Sort by columns, descending by those with a minus."""
    found = list(rows)
    for column in reversed(columns):
        found.sort(key=itemgetter(column.removeprefix("-")), reverse=column.startswith("-"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to ask for, and which rows must come in which order."""

    arguments: dict[str, Any] = field(default_factory=dict)
    chosen: Callable[[Row], bool]
    order: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.arguments)


def is_active(row: Row) -> bool:
    return bool(row["lifecycle_stage"] == "active")


SEARCHES = [
    Search(
        arguments={"filter": "name = 'active-4'"},
        chosen=lambda row: row["name"] == "active-4",
        order=("-creation_time", "experiment_id"),
    ),
    Search(
        arguments={"filter": "name LIKE '%-3' AND tags.colour = 'blue'"},
        chosen=lambda row: row["name"] == "active-3" and row["experiment_id"] % FIRST % 3 == 0,
        order=("-creation_time", "experiment_id"),
    ),
    Search(
        arguments={"filter": "creation_time > 1700000000100", "order_by": ["name ASC"]},
        chosen=lambda row: is_active(row) and row["creation_time"] > 1_700_000_000_100,
        order=("name", "-experiment_id"),
    ),
    Search(
        arguments={"order_by": ["last_update_time DESC", "experiment_id ASC"]},
        chosen=is_active,
        order=("-last_update_time", "experiment_id"),
    ),
    Search(
        arguments={"view_type": "DELETED_ONLY"},
        chosen=lambda row: not is_active(row),
        order=("-creation_time", "experiment_id"),
    ),
    Search(
        arguments={"view_type": "ALL", "order_by": ["creation_time ASC", "name DESC"]},
        chosen=lambda _: True,
        order=("creation_time", "-name", "-experiment_id"),
    ),
    Search(arguments={"filter": "name = 'nowhere'"}, chosen=lambda _: False, order=()),
]


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_a_search_finds_what_a_plain_sort_does(crowd: Crowd, search: Search) -> None:
    """Threats 97 and 98, and 108: deleted ones are found only where they are asked for."""
    asked = {"max_results": 93, **search.arguments}
    read = [*pages(crowd.caller, "POST experiments/search", **asked)]
    expected = plainly_sorted(filter(search.chosen, crowd.experiments), *search.order)
    assert ids(chain(*read)) == ids(expected)
    assert {len(page) for page in read[:-1]} <= {93}


def ids(rows: Iterable[Row]) -> list[int]:
    return [int(row["experiment_id"]) for row in rows]


@pytest.mark.parametrize(
    ("arguments", "names", "order"),
    [
        ({}, NAMES, ("name", "workspace")),
        ({"order_by": "name DESC"}, NAMES, ("-name", "workspace")),
        (
            {"order_by": "last_updated_timestamp DESC"},
            NAMES,
            ("-last_updated_time", "name", "workspace"),
        ),
        ({"filter": "name = 'detector'"}, ["detector"], ("workspace",)),
        ({"filter": "name ILIKE '%MENT%'"}, ["segmenter"], ("workspace",)),
    ],
    ids=str,
)
def test_models_of_all_projects_come_in_full_pages(
    crowd: Crowd, arguments: dict[str, str], names: Sequence[str], order: tuple[str, ...]
) -> None:
    """Threats 97 and 98."""
    read = [*pages(crowd.caller, "GET registered-models/search", max_results=7, **arguments)]
    chosen = [row for row in crowd.models if row["name"] in names]
    found = [(model["name"], model["description"]) for model in chain(*read)]
    expected = plainly_sorted(chosen, *order)
    assert found == [(row["name"], row["description"]) for row in expected]
    assert {len(page) for page in read[:-1]} == {7}


def test_a_model_has_the_latest_version_of_its_own_project(crowd: Crowd) -> None:
    asked = {"filter": "name = 'detector'", "max_results": 1000}
    (read,) = pages(crowd.caller, "GET registered-models/search", **asked)
    rows = plainly_sorted((r for r in crowd.models if r["name"] == "detector"), "workspace")
    latest = [[int(version["version"]) for version in model["latest_versions"]] for model in read]
    assert latest == [[len(versions([row]))] for row in rows]


def test_what_comes_and_goes_is_in_the_view_with_the_next_answer(tenants: Tenants) -> None:
    gitlab, one, other = tenants.stack.gitlab, tenants.project(), tenants.project(archived=True)
    user = one.member(DEVELOPER)
    token = tenants.token(user)
    everywhere = tenants.everywhere(token)
    assert seen(everywhere) == []
    one.caller(token).post("experiments/create", name="in one")
    eventually(lambda: seen(everywhere), ["in one"])
    insert(tenants.stack.mlflow, "experiments", experiments(3 * FIRST + other.id, [other.id], 1))
    gitlab.add_member(other.path, user, GUEST)
    eventually(lambda: seen(everywhere), ["active-0", "in one"])
    gitlab.remove_member(one.path, user)
    eventually(lambda: seen(everywhere), ["active-0"])
    gitlab.delete_project(other.path)
    eventually(lambda: len(seen(everywhere)), 0)


def seen(caller: Caller) -> list[str]:
    found = caller.post("experiments/search", max_results=100).get("experiments", [])
    return sorted(experiment["name"] for experiment in found)


def test_nothing_is_written_in_the_view_of_everything(tenants: Tenants) -> None:
    """Threat 110."""
    project = tenants.project()
    holds = build(tenants.stack.mlflow, project.id)
    everywhere = tenants.everywhere(tenants.token(project.member(DEVELOPER)))
    eventually(lambda: len(seen(everywhere)), 2)
    before = tenants.stack.mlflow.contents()
    for endpoint in (*WRITES, *CREATES):
        for key in endpoint.keys:
            answer = everywhere.send(*endpoint.about(holds, key))
            assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), key
            assert "`<project path>/tracking/`" in answer.json()["message"]
    assert tenants.stack.mlflow.contents() == before


def test_what_belongs_to_one_project_is_read_there(tenants: Tenants) -> None:
    project = tenants.project()
    holds = build(tenants.stack.mlflow, project.id)
    token = tenants.token(project.member(DEVELOPER))
    everywhere, inside = tenants.everywhere(token), project.caller(token)
    eventually(lambda: len(seen(everywhere)), 2)
    served = set()
    for endpoint in READS:
        for key in endpoint.keys:
            request = endpoint.about(holds, key)
            answer = everywhere.send(*request)
            assert answer.status in (200, 403), (key, answer.body)
            if answer.status == 403:
                assert "`<project path>/tracking/`" in answer.json()["message"]
            else:
                assert answer.body == inside.send(*request).body, key
                served.add(key[1])
    assert {
        "/api/2.0/mlflow/experiments/search",
        "/api/2.0/mlflow/registered-models/search",
    } <= served
