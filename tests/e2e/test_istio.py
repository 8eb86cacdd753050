"""The edge behind the filters that Istio generates, in both of its namings, in real Envoys.

Istio sets neither the early removal of headers nor the strict paths of our own configuration: what
they keep out there, edge and plugin must keep out by themselves here.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from extauthz.grant import HEADER
from tests.caller import Caller
from tests.servers.envoy import ALL
from tests.servers.istio import NAMINGS, Policy, all_but, istio_gateway
from tests.servers.mlflow import project
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants

ENVOYS = {version: ALL[version] for version in ("1.36.4", "1.40.0")}
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
HEALTH = "/health"


@pytest.fixture(params=list(NAMINGS))
def naming(request: pytest.FixtureRequest) -> str:
    """The version of Istio whose names are used."""
    return str(request.param)


@pytest.fixture(params=list(ENVOYS))
def binary(request: pytest.FixtureRequest) -> Path:
    """An Envoy."""
    return ENVOYS[str(request.param)]


@pytest.fixture
def ours(tenants: Tenants) -> Project:
    """A project with an experiment."""
    made = tenants.project()
    made.developer().post("experiments/create", name="ours")
    return made


@pytest.fixture
def gateway(whole_stack: Stack, tmp_path: Path, binary: Path, naming: str) -> Iterator[int]:
    """The port of a gateway that asks the edge about everything."""
    port = whole_stack.mlflow.port
    with istio_gateway(
        tmp_path, binary, Policy(naming), check=whole_stack.edge.check, mlflow=port
    ) as proxy:
        yield proxy.port


def through(gateway: int, caller: Caller) -> Caller:
    """Return the same caller, who comes through another gateway."""
    return replace(caller, port=gateway)


def test_who_may_is_let_in_and_who_may_not_is_told(
    gateway: int, ours: Project, tenants: Tenants
) -> None:
    member, guest = through(gateway, ours.developer()), through(gateway, ours.guest())
    found = member.send("GET", SEARCH)
    assert [each["name"] for each in found.json()["experiments"]] == ["ours"]
    assert member.call("POST experiments/create", name="new").status == 200
    assert guest.call("POST experiments/create", name="no").status == 403
    stranger = through(gateway, tenants.project().developer())
    assert stranger.in_view_of(member).send("GET", SEARCH).status == 404
    nobody = replace(member, headers=())
    assert nobody.send("GET", SEARCH).status == 401
    assert nobody.send("GET", HEALTH).status == 200


def test_what_only_the_edge_may_say_is_said_by_nobody_else(
    gateway: int, ours: Project, tenants: Tenants, whole_stack: Stack
) -> None:
    theirs = tenants.project()
    forged = whole_stack.mlflow.signer.sign(project(theirs.id))
    member = through(gateway, ours.developer())
    spoofed = member.sending((HEADER, forged), ("X-MLFLOW-WORKSPACE", f"p{theirs.id}"))
    found = spoofed.send("GET", SEARCH)
    assert [each["name"] for each in found.json()["experiments"]] == ["ours"]
    assert member.sending((HEADER.replace("-", "_"), forged)).send("GET", SEARCH).status == 400
    assert replace(spoofed, headers=spoofed.headers[1:]).send("GET", SEARCH).status == 401


@pytest.mark.parametrize(
    "target",
    [
        "//api/2.0/mlflow/experiments/search",
        "/api/2.0/mlflow%2Fexperiments/search",
        "/api/2.0/mlflow/experiments/search%5c",
        "/api/2.0/mlflow/experiments/search;x=1",
    ],
)
def test_paths_that_the_gateway_lets_pass_are_refused_by_the_edge(
    gateway: int, ours: Project, target: str
) -> None:
    answer = through(gateway, ours.developer()).send("GET", target)
    assert answer.status in (400, 404)
    assert answer.json()["error_code"] in ("BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST")


def test_no_protocol_is_upgraded(gateway: int, ours: Project) -> None:
    member = through(gateway, ours.developer()).sending(
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )
    assert member.send("GET", SEARCH).status == 400


def test_what_a_policy_leaves_out_is_not_asked_about_and_mlflow_refuses_it(
    whole_stack: Stack, ours: Project, tmp_path: Path, binary: Path, naming: str
) -> None:
    """A rule with `notPaths` opens a door, behind which there is a second one."""
    member = ours.developer()
    left_out = f"{member.prefix}/api/2.0/mlflow/experiments/search"
    policy = Policy(naming, all_but(left_out))
    port, check = whole_stack.mlflow.port, whole_stack.edge.check
    with istio_gateway(tmp_path, binary, policy, check=check, mlflow=port) as proxy:
        caller = through(proxy.port, member)
        assert caller.send("GET", "/api/2.0/mlflow/experiments/get-by-name").status == 400
        past = caller.send("GET", SEARCH)
    assert past.status == 403
    assert "carries no grant" in past.json()["message"]


def test_without_an_edge_everything_is_unavailable(
    whole_stack: Stack, ours: Project, tmp_path: Path, binary: Path, naming: str
) -> None:
    port, nobody = whole_stack.mlflow.port, f"unix:{tmp_path}/nobody.sock"
    with istio_gateway(tmp_path, binary, Policy(naming), check=nobody, mlflow=port) as proxy:
        caller = through(proxy.port, ours.developer())
        assert caller.send("GET", SEARCH).status == 503
        assert caller.send("GET", HEALTH).status == 503
