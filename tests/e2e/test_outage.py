"""Parts that are down: nobody gets in by it, readers read on, and the client tries again."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST
from tests.polling import eventually
from tests.servers.envoy import Answer
from tests.servers.ports import free_port
from tests.servers.stack import Stack, gateway
from tests.tenants import Tenants, unique


@pytest.fixture(scope="module")
def beside(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge and an Envoy of these tests' own, before the GitLab and the MLflow of all."""
    folder = tmp_path_factory.mktemp("beside")
    with gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture
def tenants(beside: Stack) -> Iterator[Tenants]:
    """The users and projects of that gateway; GitLab is well again after the test."""
    everybody = Tenants(beside)
    yield everybody
    beside.gitlab.heal()
    # Until the edge has noticed.
    caller = everybody.project().developer()
    eventually(lambda: reads(caller).status, 200)


def reads(caller: Caller) -> Answer:
    return caller.call("POST experiments/search", max_results=10)


def writes(caller: Caller) -> Answer:
    return caller.call("POST experiments/create", name=unique("experiment"))


def names(caller: Caller) -> list[str]:
    return [experiment["name"] for experiment in reads(caller).json().get("experiments", [])]


def is_an_outage(answer: Answer) -> None:
    assert answer.status == 503, answer.body
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"


FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"effect": "error", "status": 500},
    "a page for browsers": {"effect": "html", "status": 200},
    "resets": {"effect": "reset"},
    "half an answer": {"effect": "truncate"},
    "a redirect elsewhere": {"effect": "redirect", "location": "http://127.0.0.1:9/"},
    "silence": {"effect": "hang"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whoever_is_unknown_waits_while_gitlab_is_down(tenants: Tenants, fault: str) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    developer = project.caller(tenants.token(project.member(DEVELOPER)))
    before = tenants.stack.mlflow.contents()
    gitlab.faults(**FAULTS[fault])
    is_an_outage(writes(developer))
    is_an_outage(reads(project.caller("glpat-made-up-by-somebody")))
    assert tenants.stack.mlflow.contents() == before
    gitlab.heal()
    eventually(lambda: writes(developer).status, 200)


def test_whoever_is_known_reads_on_and_writes_later(tenants: Tenants) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    guest, developer = project.guest(), project.developer()
    assert (writes(developer).status, writes(guest).status) == (200, 403)
    gitlab.faults("error", status=500)
    eventually(lambda: writes(developer).status, 503)
    before, there = tenants.stack.mlflow.contents(), names(developer)
    assert there
    for _ in range(3):
        assert names(developer) == names(guest) == there
        is_an_outage(writes(developer))
        assert "GitLab cannot be reached" in writes(developer).json()["message"]
        assert writes(guest).status == 403
    assert tenants.stack.mlflow.contents() == before
    gitlab.heal()
    eventually(lambda: (writes(developer).status, writes(guest).status), (200, 403))


def test_the_global_view_of_whoever_is_known_is_whole_or_absent(tenants: Tenants) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    user = project.member(DEVELOPER)
    known, unknown = (tenants.everywhere(tenants.token(user)) for _ in range(2))
    project.caller(tenants.token(user)).post("experiments/create", name="there")
    eventually(lambda: names(known), ["there"])
    gitlab.faults("error", status=500)
    is_an_outage(reads(unknown))
    for _ in range(3):
        assert names(known) == ["there"]


def test_a_change_before_the_outage_is_not_undone_by_it(tenants: Tenants) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    user = project.member(DEVELOPER)
    caller = project.caller(tenants.token(user))
    assert writes(caller).status == 200
    gitlab.remove_member(project.path, user)
    eventually(lambda: reads(caller).status, 404)
    gitlab.faults("error", status=500)
    before = tenants.stack.mlflow.contents()
    for answer in (reads(caller), writes(caller)):
        assert answer.status in (404, 503)
    assert tenants.stack.mlflow.contents() == before


def test_one_token_that_asks_too_often_is_not_an_outage(tenants: Tenants) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    token = tenants.token(project.member(DEVELOPER))
    gitlab.faults("throttle", seconds=7, times=1)
    answer = reads(project.caller(token))
    is_an_outage(answer)
    assert int(answer.headers["retry-after"]) <= 7
    assert writes(project.developer()).status == 200


def test_mlflows_client_tries_again_until_gitlab_is_back(tenants: Tenants, tmp_path: Path) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab
    token = tenants.token(project.member(DEVELOPER))
    gitlab.faults("error", status=500, times=1)
    done = run_client(
        "create",
        "made by the client",
        uri=project.caller(token).uri,
        folder=tmp_path,
        MLFLOW_TRACKING_TOKEN=token,
        MLFLOW_HTTP_REQUEST_MAX_RETRIES="3",
    )
    assert done.keys() == {"created"}
    assert names(project.guest()) == ["made by the client"]


def test_an_edge_that_is_gone_lets_nobody_in(whole_stack: Stack, tmp_path: Path) -> None:
    """CVE-2023-27488, CVE-2024-23324."""
    with gateway(tmp_path, whole_stack.gitlab, whole_stack.mlflow) as own:
        project = Tenants(own).project()
        developer = project.developer()
        assert writes(developer).status == 200
        before = whole_stack.mlflow.contents()
        os.kill(own.edge.pid, signal.SIGKILL)
        for answer in (reads(developer), writes(developer), developer.send("GET", "/health")):
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert whole_stack.mlflow.contents() == before


def test_without_mlflow_every_answer_is_an_outage(whole_stack: Stack, tmp_path: Path) -> None:
    nowhere = replace(whole_stack.mlflow, port=free_port())
    with gateway(tmp_path, whole_stack.gitlab, nowhere) as own:
        tenants = Tenants(own)
        project = tenants.project()
        token = tenants.token(project.member(GUEST))
        for caller in (project.caller(token), tenants.everywhere(token)):
            assert reads(caller).status == 503
