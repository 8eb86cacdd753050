"""The image `edge`: Check over gRPC, asked as Envoy asks."""

from collections.abc import Iterator, Mapping

import grpc
import pytest

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from extauthz.grant import HEADER
from tests.gitlab import GitLab
from tests.image.container import Container, container, run_once
from tests.servers.edge import SECRET_KEY
from tests.servers.processes import answers

PROJECT = "/acme/vision/detector/tracking"
SEARCH = f"{PROJECT}/api/2.0/mlflow/experiments/search?max_results=10"


@pytest.fixture(scope="module")
def edge() -> Iterator[Container]:
    with GitLab.start(world="demo") as gitlab:
        settings = {
            "GITLAB_URL": gitlab.url,
            "MLFLOW_URL": "http://mlflow:5001",
            "SECRET_KEY": SECRET_KEY,
        }
        with container("edge", env=settings) as running:
            running.until_healthy()
            yield running


def check(path: str, headers: Mapping[str, str]) -> CheckResponse:
    given = {":method": "GET", ":path": path, ":authority": "localhost:5000", **headers}
    http = AttributeContext.HttpRequest(
        method="GET", path=path, host="localhost:5000", scheme="http", headers=given
    )
    question = CheckRequest(attributes=AttributeContext(request={"http": http}))
    with grpc.insecure_channel("127.0.0.1:9000") as channel:
        call = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        return CheckResponse.FromString(call(question.SerializeToString(), timeout=10))


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer glpat-demo-{name}"}


def test_a_member_is_allowed_with_a_grant(edge: Container) -> None:
    answer = check(SEARCH, bearer("bob"))
    assert answer.status.code == 0, edge.logs
    headers = {option.header.key: option.header for option in answer.ok_response.headers}
    assert HEADER in headers
    assert (headers[":path"].value or headers[":path"].raw_value.decode()) == SEARCH.removeprefix(
        PROJECT
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), (bearer("nobody"), 401), (bearer("mallory"), 404), (bearer("carol"), 404)],
    ids=["without a token", "with a wrong one", "external user", "member of other projects"],
)
def test_nobody_else_is(edge: Container, headers: Mapping[str, str], status: int) -> None:
    answer = check(SEARCH, headers)
    assert answer.status.code != 0
    assert answer.denied_response.status.code == status, edge.logs
    assert not answer.HasField("ok_response")


def test_prometheus_and_kubernetes_find_it(edge: Container) -> None:
    assert answers(9002, "/metrics"), edge.logs
    assert answers(9002, "/livez")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, "extauthz: Set one of GITLAB_URL and SHARINGHUB_URL"),
        (
            {"GITLAB_URL": "https://gitlab.example.com"},
            "extauthz: Set SECRET_KEY: make one",
        ),
        (
            {"GITLAB_URL": "http://gitlab.example.com", "SECRET_KEY": SECRET_KEY},
            "extauthz: GITLAB_URL is plain http (http://gitlab.example.com): ",
        ),
    ],
    ids=["no provider", "no key", "plain http"],
)
def test_what_is_missing_or_unsafe_is_one_line(settings: Mapping[str, str], line: str) -> None:
    refused = run_once("edge", env=settings)
    assert refused.returncode == 2
    assert refused.stderr.startswith(line)
    assert refused.stderr.count("\n") == 1


def test_it_stops_when_it_is_told_to(edge: Container) -> None:
    assert edge.stop() == 0, edge.logs
