"""Two projects with the same names for everything, and one endpoint after another through Envoy."""

from dataclasses import dataclass
from itertools import chain

import pytest

from tests.caller import Caller
from tests.plugin import mixture
from tests.plugin.endpoints import CREATES, READS, WRITES, Endpoint
from tests.plugin.mixture import Asked, Scope, side_by_side
from tests.plugin.world import World, build
from tests.polling import eventually
from tests.servers.envoy import Answer
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants

RESTORES = ("experiments/restore", "runs/restore")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A project that holds one of everything, and its developer."""

    project: Project
    holds: World
    developer: Caller


def tenant(tenants: Tenants, number: int | None = None) -> Tenant:
    project = tenants.project(id=number)
    return Tenant(project, build(tenants.stack.mlflow, project.id), project.developer())


@pytest.fixture(scope="module")
def pair(whole_stack: Stack) -> tuple[Tenant, Tenant]:
    """Return two projects that no test changes."""
    tenants = Tenants(whole_stack)
    return tenant(tenants), tenant(tenants)


def answers(caller: Caller, owner: Tenant, endpoint: Endpoint) -> list[Answer]:
    """Ask about a project's objects, once under each of the endpoint's paths."""
    return [caller.send(*endpoint.about(owner.holds, key)) for key in endpoint.keys]


def refused_in_own_view(ours: Tenant, theirs: Tenant, endpoint: Endpoint) -> list[Answer]:
    """Ask about their objects in our view, which shows nothing of them; returns the answers."""
    refusals = answers(ours.developer, theirs, endpoint)
    for answer in refusals:
        assert answer.status == endpoint.foreign, answer.body
        assert not shown(theirs, answer, endpoint)
    return refusals


def refused_in_their_view(ours: Tenant, theirs: Tenant, endpoint: Endpoint) -> None:
    """Ask about their objects in their view, as a member of another project and of none."""
    tenants = theirs.project.tenants
    nobody = ours.project.caller(tenants.token(tenants.user()))
    for caller in (
        ours.developer.in_view_of(theirs.developer),
        nobody.in_view_of(theirs.developer),
        nobody,
    ):
        for answer in answers(caller, theirs, endpoint):
            assert answer.status == 404, answer.body
            assert answer.json()["message"].startswith("There is no such project")


def shown(owner: Tenant, answer: Answer, endpoint: Endpoint) -> list[str]:
    """Return what an answer shows of a project beyond what the request itself said."""
    sent = str([endpoint.about(owner.holds, key) for key in endpoint.keys])
    return [m for m in owner.holds.marks if m.encode() in answer.body and m not in sent]


@pytest.mark.parametrize("endpoint", READS, ids=str)
def test_only_members_read(pair: tuple[Tenant, Tenant], endpoint: Endpoint) -> None:
    """Threats 81, 82, 84 to 87, 99, 101, 102, 105 and 106, at every address of each."""
    ours, theirs = pair
    store = ours.project.tenants.stack.mlflow
    before = store.contents()
    refusals = refused_in_own_view(ours, theirs, endpoint)
    refused_in_their_view(ours, theirs, endpoint)
    assert store.contents() == before
    for answer in answers(theirs.developer, theirs, endpoint):
        assert answer.status == 200, answer.body
        assert answer.body not in [refusal.body for refusal in refusals]


@pytest.mark.parametrize("endpoint", [*WRITES, *CREATES], ids=str)
def test_only_developers_of_the_project_write(
    tenants: Tenants, pair: tuple[Tenant, Tenant], endpoint: Endpoint
) -> None:
    """Threats 81, 82, 86, 87, 96, 99, 101 to 103, 105 and 106; 29 and 110 of guests."""
    ours, theirs, store = pair[0], tenant(tenants), tenants.stack.mlflow
    before = store.contents()
    if endpoint not in CREATES:
        refused_in_own_view(ours, theirs, endpoint)
    refused_in_their_view(ours, theirs, endpoint)
    for answer in answers(theirs.project.guest(), theirs, endpoint):
        assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert store.contents() == before
    method, path, body = endpoint.about(theirs.holds, endpoint.keys[0])
    if path.endswith(RESTORES):
        theirs.developer.send(method, path.replace("restore", "delete"), body)
        before = store.contents()
    answer = theirs.developer.send(method, path, body)
    assert answer.status == 200, answer.body
    assert store.contents() != before


def test_an_id_that_begins_like_another_is_another(tenants: Tenants) -> None:
    """Threats 81, 82 and 86 to 88."""
    short, long = tenant(tenants, 7_000_001), tenant(tenants, 70_000_019)
    before = tenants.stack.mlflow.contents()
    for ours, theirs in ((short, long), (long, short)):
        for endpoint in (*READS, *WRITES):
            for answer in answers(ours.developer, theirs, endpoint):
                assert answer.status == endpoint.foreign, (str(endpoint), answer.body)
    assert tenants.stack.mlflow.contents() == before


def test_the_same_name_is_another_thing_in_another_project(tenants: Tenants) -> None:
    """Threat 95."""
    ours, theirs = tenant(tenants), tenant(tenants)
    names = {"experiment_name": "churn"}, {"name": "churn"}
    untouched = [
        theirs.developer.get("experiments/get-by-name", **names[0]),
        theirs.developer.get("registered-models/get", **names[1]),
    ]
    mine = ours.developer.get("experiments/get-by-name", **names[0])["experiment"]
    assert mine["experiment_id"] == ours.holds.experiment
    ours.developer.post("experiments/delete", experiment_id=mine["experiment_id"])
    assert ours.developer.call("DELETE registered-models/delete", name="churn").status == 200
    assert untouched == [
        theirs.developer.get("experiments/get-by-name", **names[0]),
        theirs.developer.get("registered-models/get", **names[1]),
    ]


def test_a_list_holds_what_the_project_holds(pair: tuple[Tenant, Tenant]) -> None:
    """Threats 83 and 98."""
    for one, other in (pair, pair[::-1]):
        caller = one.developer
        for found in (
            caller.post("experiments/search", max_results=100),
            caller.get("registered-models/search", max_results=100),
            caller.get("model-versions/search", max_results=100),
            caller.post("runs/search", experiment_ids=[one.holds.experiment]),
        ):
            assert [mark for mark in one.holds.marks if mark in str(found)]
            assert not [mark for mark in other.holds.marks if mark in str(found)]


def test_of_several_ids_the_own_ones_are_read_alone(pair: tuple[Tenant, Tenant]) -> None:
    """Threats 83 to 85 and 101."""
    for one, other in (pair, pair[::-1]):
        orders = (other, one), (one, other), (one,)
        lists = [mixture.several(*(each.holds for each in order)) for order in orders]
        for mixed, turned, own in zip(*lists, strict=True):
            alone, *rest = (
                one.developer.send(each.method, each.path, each.body)
                for each in (own, mixed, turned)
            )
            assert alone.status == own.status, (own, alone.body)
            assert {answer.body for answer in rest} == {alone.body}, mixed
            assert not [mark for mark in other.holds.marks if mark.encode() in alone.body]


def test_nothing_is_mixed_up_under_load(tenants: Tenants) -> None:
    """Threat 120: five hundred and more at once, by two people in two views each."""
    pair = tenant(tenants), tenant(tenants)
    everywhere_of = tenants.everywhere("")

    def scope(one: Tenant, caller: Caller, requests: list[Asked]) -> Scope:
        def send(each: Asked) -> tuple[int, bytes]:
            answer = caller.send(each.method, each.path, each.body, *each.headers)
            return answer.status, answer.body

        return Scope(one.holds, requests, send)

    scopes = []
    for one, other in (pair, pair[::-1]):
        everywhere = one.developer.in_view_of(everywhere_of)
        eventually(lambda: len(everything(everywhere, one)["experiments/search"]), 2)  # noqa: B023 - now
        worlds = one.holds, other.holds
        scopes.append(scope(one, one.developer, mixture.in_project(*worlds)))
        scopes.append(scope(one, everywhere, mixture.everywhere(*worlds)))
    assert side_by_side(*scopes) >= 500


def test_the_global_view_of_a_member_of_nothing_is_empty(
    tenants: Tenants, pair: tuple[Tenant, Tenant]
) -> None:
    """Threat 98."""
    nobody = tenants.everywhere(tenants.token(tenants.user()))
    member = pair[0].developer.in_view_of(nobody)
    eventually(lambda: len(everything(member, *pair)["experiments/search"]), 2)
    for endpoint, found in everything(member, *pair).items():
        assert [mark for mark in pair[0].holds.marks if mark in str(found)], endpoint
        assert not [mark for mark in pair[1].holds.marks if mark in str(found)], endpoint
    assert not any(everything(nobody, *pair).values())


def everything(caller: Caller, *tenants: Tenant) -> dict[str, list[object]]:
    """Return all that a caller finds, by the endpoint that found it."""
    ids = [one.holds.experiment for one in tenants]
    found = {
        "experiments/search": caller.post("experiments/search", max_results=100),
        "runs/search": caller.post("runs/search", experiment_ids=ids),
        "registered-models/search": caller.get("registered-models/search", max_results=100),
        "model-versions/search": caller.get("model-versions/search", max_results=100),
    }
    return {name: [*chain.from_iterable(page.values())] for name, page in found.items()}
