"""Projects with the same names: nothing of one is there for the other."""

import pytest

from extauthz.grant import Grant, Why
from extauthz.levels import Role
from extauthz.plugin.rules import FLASK, NATIVE, Key
from tests.plugin.endpoints import CREATES, PAGES, READS, WRITES, Endpoint, is_write, requests
from tests.plugin.endpoints_traces import APART
from tests.plugin.world import World
from tests.servers.mlflow import Answer, MLflow, everything, project


def _each(*endpoints: Endpoint) -> pytest.MarkDecorator:
    cases = list(requests(*endpoints))
    names = [f"{method} {path}" for _, (method, path) in cases]
    return pytest.mark.parametrize(("endpoint", "key"), cases, ids=names)


def test_every_entry_of_the_table_has_a_request_here() -> None:
    """Threat 117: what is served is asked about another project, or this fails."""
    covered = {key for endpoint in (*READS, *WRITES, *CREATES) for key in endpoint.keys}
    assert covered | {*PAGES, *APART} == {*FLASK, *NATIVE}
    writes = {key for endpoint in (*WRITES, *CREATES) for key in endpoint.keys}
    assert {key for key in covered if is_write(key)} == writes


@_each(*READS)
def test_another_project_is_not_read(
    server: MLflow, ours: World, theirs: World, endpoint: Endpoint, key: Key
) -> None:
    """Threats 81, 82, 84 to 87, 99, 101, 102, 105 and 106, at every address of each."""
    method, path, body = endpoint.about(theirs, key)
    before = server.contents()

    denied = server.ask(method, path, ours.grant, body)
    allowed = server.ask(method, path, theirs.grant, body)

    assert denied.status == endpoint.foreign, denied.body
    assert not _shown(theirs, denied, path, body)
    assert server.contents() == before
    assert allowed.status == 200, allowed.body
    assert allowed.body != denied.body


@_each(*READS)
def test_a_reader_reads(server: MLflow, theirs: World, endpoint: Endpoint, key: Key) -> None:
    method, path, body = endpoint.about(theirs, key)
    reader = project(theirs.number, Role.READ, Why.GUEST)

    assert server.ask(method, path, reader, body).status == 200


@_each(*WRITES)
def test_only_developers_of_a_project_change_it(
    server: MLflow, ours: World, fresh: World, endpoint: Endpoint, key: Key
) -> None:
    """Threats 81, 82, 86, 87, 96, 99, 101 to 103, 105 and 106; 29 and 110 of readers."""
    method, path, body = endpoint.about(fresh, key)
    before = server.contents()

    foreign = server.ask(method, path, ours.grant, body)
    refused = [server.ask(method, path, grant, body) for grant in _readers(fresh)]

    assert foreign.status == endpoint.foreign, foreign.body
    assert not _shown(fresh, foreign, path, body)
    assert [(answer.status, answer.json["error_code"]) for answer in refused] == [
        (403, "PERMISSION_DENIED"),
        (403, "PERMISSION_DENIED"),
    ]
    assert server.contents() == before
    _changes(server, fresh, endpoint, key)


@_each(*CREATES)
def test_only_developers_of_a_project_create_something_there(
    server: MLflow, fresh: World, endpoint: Endpoint, key: Key
) -> None:
    """Threats 29 and 110."""
    method, path, body = endpoint.about(fresh, key)
    before = server.contents()

    refused = [server.ask(method, path, grant, body) for grant in _readers(fresh)]

    assert [answer.status for answer in refused] == [403, 403]
    assert server.contents() == before
    _changes(server, fresh, endpoint, key)


def _readers(world: World) -> list[Grant]:
    guest = project(world.number, Role.READ, Why.GUEST)
    return [guest, everything(world.number)]


def _changes(server: MLflow, owner: World, endpoint: Endpoint, key: Key) -> None:
    method, path, body = endpoint.about(owner, key)
    if path.endswith(("experiments/restore", "runs/restore")):
        server.ask(method, path.replace("restore", "delete"), owner.grant, body)
    before = server.contents()

    allowed = server.ask(method, path, owner.grant, body)

    assert allowed.status == 200, allowed.body
    assert server.contents() != before


def _shown(world: World, answer: Answer, path: str, body: object) -> list[str]:
    """Return what an answer shows of a project beyond what the request said itself."""
    sent = f"{path} {body}"
    return [mark for mark in world.marks if mark.encode() in answer.body and mark not in sent]
