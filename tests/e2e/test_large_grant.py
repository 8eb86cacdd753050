"""Thousands of projects in one grant, through the real Envoy to the real MLflow."""

import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from itertools import chain

import pytest

from tests.caller import API, Caller
from tests.e2e.crowd import experiments, insert
from tests.gitlab import GUEST
from tests.polling import eventually
from tests.servers.envoy import Answer
from tests.servers.stack import Stack, stack
from tests.tenants import Tenants

FITTING, ALL = 5_000, 7_000
SETTINGS = {"PROJECT_CACHE_TIMEOUT": "600"}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of these tests' own, in which 7,000 projects own an experiment each.

    Their ids are as far apart as they are on a large GitLab, so three bytes apart.
    """
    numbers = range(1_000_003, 1_000_003 + ALL * 20_011, 20_011)
    groups = ["fitting"] * FITTING + ["more"] * (ALL - FITTING)
    projects = [
        {"path": f"all/{group}/p{n}", "id": number}
        for n, (group, number) in enumerate(zip(groups, numbers, strict=True))
    ]
    with stack(tmp_path_factory.mktemp("large"), SETTINGS) as running:
        running.gitlab.batch(*(("create_project", project) for project in projects))
        insert(running.mlflow, "experiments", experiments(1, numbers, ALL))
        yield running


@pytest.fixture(scope="module")
def caller(large: Stack) -> Caller:
    """Return a reader of 5,000 projects in the view of all of them."""
    return reader_of(large, "all/fitting")


def reader_of(large: Stack, group: str) -> Caller:
    tenants = Tenants(large)
    user = tenants.user()
    large.gitlab.add_member(group, user, GUEST)
    reader = tenants.everywhere(tenants.token(user))
    # Hundreds of questions to GitLab may take longer than one request waits: then 503.
    eventually(lambda: first_page(reader).status == 503, wanted=False, wait=60)
    return reader


def first_page(caller: Caller) -> Answer:
    return caller.call("GET experiments/search", max_results=3)


def test_five_thousand_projects_are_one_view(caller: Caller) -> None:
    found, arguments = [], {"max_results": 1000, "order_by": ["experiment_id ASC"]}
    while True:
        page = caller.post("experiments/search", **arguments)
        found.append([int(row["experiment_id"]) for row in page["experiments"]])
        if not (token := page.get("next_page_token")):
            break
        arguments["page_token"] = token
    assert list(chain(*found)) == list(range(1, FITTING + 1))
    assert [len(page) for page in found] == [1000] * 5


@pytest.mark.parametrize("kib", [0, 32, 60])
def test_headers_that_arrive_in_pieces_get_the_same_view(caller: Caller, kib: int) -> None:
    expected = first_page(caller)
    assert expected.status == 200
    assert in_pieces(caller, kib) == (200, expected.body)


@pytest.mark.parametrize("kib", [80, 120])
def test_headers_too_large_for_the_grant_beside_them_are_refused(caller: Caller, kib: int) -> None:
    """96 KiB is the limit, of which this grant takes 20."""
    status, body = in_pieces(caller, kib)
    assert status == 431, body
    assert b"headers are too large" in body


def in_pieces(caller: Caller, kib: int) -> tuple[int, bytes]:
    """Ask for the first page with so much more of headers, written 4 KiB at a time."""
    (credential,) = caller.headers
    lines = [
        f"GET {API}experiments/search?max_results=3 HTTP/1.1",
        "host: any",
        ": ".join(credential),
        *(f"x-padding-{n}: {'x' * 1000}" for n in range(kib)),
    ]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    with socket.create_connection(("127.0.0.1", caller.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(head), 4096):
            connection.sendall(head[start : start + 4096])
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, answer.read()


def test_more_than_a_grant_can_hold_is_told_so(large: Stack) -> None:
    reader = reader_of(large, "all")
    answer = first_page(reader)
    assert (answer.status, answer.json()["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "/<group>/<project>/tracking/" in answer.json()["message"]
    inside = Caller(reader.port, f"/all/more/p{ALL - 1}/tracking", reader.headers)
    found = first_page(inside).json()["experiments"]
    assert [row["experiment_id"] for row in found] == [str(ALL)]
