"""Hostile paths through the real Envoy and the real edge: what arrives is what was decided.

A path is read four times: by Envoy, by the edge, by uvicorn and by Flask or Starlette. Each may
decode, fold and cut it in its own way (CVE-2021-29492, CVE-2021-32779, CVE-2026-73511,
CVE-2026-73551, CVE-2026-73553), so all four have to agree on the project and on the endpoint.
"""

from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.routes import is_public
from extauthz.edge.scope import Tracking, scope_of
from extauthz.grant import View
from tests.fuzz.cases import cases, texts
from tests.fuzz.depth import ON_THE_WIRE
from tests.fuzz.endpoints import reached, written
from tests.fuzz.gateway import Arrived, Gateway, gateway

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# 0 is a connection that was closed.
NOT_FORWARDED = frozenset({0, 302, 307, 308, 400, 403, 404, 405, 431})
# The project that nobody here may see.
SECRET = 999


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


def hold(front: Gateway, method: str, target: str) -> Arrived | None:
    """Send a target; hold that whatever arrives is one thing to everybody; returns it."""
    arrived = front.send(method, target)
    if isinstance(arrived, int):
        assert arrived in NOT_FORWARDED, (target, arrived)
        return None
    path = arrived.target.partition("?")[0]
    project = arrived.grant.project_path
    decided = scope_of(f"/{project}/tracking{path}" if project else path)
    match arrived.grant.view:
        case View.PROJECT:
            assert decided == Tracking(project, path), target
            assert arrived.grant.project_id != SECRET, target
            # Envoy has taken out the dots, and what they cancel.
            assert all(name in unquote(target).lower() for name in project.split("/")), target
        case View.GLOBAL:
            assert decided == Tracking(None, path), target
            assert SECRET not in arrived.grant.projects, target
        case kind:
            assert kind is View.PUBLIC, target
            assert is_public(arrived.method, path), target
    endpoint = reached(arrived.method, arrived.target)
    assert endpoint is None or endpoint in written(arrived.target), (target, endpoint)
    return arrived


def test_saved_paths_arrive_as_they_were_decided_or_not_at_all(front: Gateway) -> None:
    """Threats 31 to 39 and 88."""
    arrived = [
        one
        for target in cases("targets")
        for method in ("GET", "POST")
        # A line break ends a request, and what follows is another one.
        if not set("\r\n ") & set(target) and (one := hold(front, method, target))
    ]
    assert {each.grant.view for each in arrived} == {View.PROJECT, View.GLOBAL, View.PUBLIC}
    assert len(arrived) > 60


@ON_THE_WIRE
@given(
    method=st.sampled_from(METHODS),
    target=texts("targets").filter(lambda text: not set("\r\n \x00") & set(text)),
)
def test_changed_paths_arrive_as_they_were_decided_or_not_at_all(
    front: Gateway, method: str, target: str
) -> None:
    """Threats 31 to 39 and 88."""
    hold(front, method, target)


@pytest.mark.parametrize("line", cases("framing"))
def test_no_line_of_a_request_hides_another_request(front: Gateway, line: str) -> None:
    """Threats 17, 19, 23, 38 and 153: one request arrives, the one that was decided, or none."""
    arrived = front.send("GET", "/acme/vision/tracking/version?x=1", line)
    if isinstance(arrived, Arrived):
        assert (arrived.method, arrived.target) == ("GET", "/version?x=1")
        assert arrived.grant.view is View.PUBLIC


@pytest.mark.parametrize("root", ["", "/acme/vision/tracking"])
def test_the_endpoints_that_are_served_are_reached_by_their_own_paths(
    front: Gateway, root: str
) -> None:
    """Without this, one who refuses everything would pass."""
    for method, target, endpoint in (
        ("GET", "/health", "/health"),
        ("GET", "/api/2.0/mlflow/runs/get?run_id=1", "/api/2.0/mlflow/runs/get"),
        ("POST", "/graphql", "/graphql"),
        ("POST", "/v1/traces", "/v1/traces"),
        (
            "PUT",
            "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/100%25",
            "/api/2.0/mlflow-artifacts/artifacts/{artifact_path:path}",
        ),
    ):
        arrived = hold(front, method, f"{root}{target}")
        assert arrived is not None
        assert reached(arrived.method, arrived.target) == endpoint
