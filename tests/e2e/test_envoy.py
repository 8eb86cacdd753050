"""The real Envoy with our configuration, between a raw client and a recording upstream."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER as GRANT
from tests.e2e.told_edge import (
    Edge,
    Stack,
    allow,
    crash,
    deny,
    garbage,
    hang,
    options,
    redirect,
    running,
)
from tests.servers.authz import Answer, authz
from tests.servers.echo import upstream
from tests.servers.envoy import ALL, envoy, request, validate
from tests.servers.ports import free_port


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path) as each:
        yield each


@pytest.mark.parametrize("version", ALL)
def test_every_supported_envoy_accepts_the_configuration(version: str, tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    sockets = EnvoyOptions(check=("unix:/run/a-0.sock", "unix:/run/a-1.sock"), trusted_hops=1)
    names = EnvoyOptions(listen="0.0.0.0:5000", check=("edge:9000",), mlflow="mlflow:80")
    for each in (EnvoyOptions(), sockets, names, EnvoyOptions(admin=None)):
        config.write_text(build(each))
        result = validate(ALL[version], config)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("version", ALL)
async def test_every_supported_envoy_decides_alike(version: str, tmp_path: Path) -> None:
    """Threats 5, 8, 19 and 32."""
    async with running(tmp_path, ALL[version]) as stack:
        assert (await stack.envoy.get("/a/b/tracking/")).status == 200
        assert stack.mlflow.seen[-1].values(GRANT) == ["ours"]
        stack.edge.answer = garbage
        assert (await stack.envoy.get("/a/b/tracking/")).status == 503
        assert (await stack.envoy.get("/a%2Fb")).status == 400
        assert (await stack.envoy.get("/", "x_y: 1")).status == 400
        assert (await stack.envoy.send(request("TRACE", "/"))).status == 403
        assert len(stack.mlflow.seen) == 1


@pytest.mark.parametrize("answer", [garbage, hang, crash])
async def test_an_edge_that_fails_is_a_503_and_mlflow_is_not_reached(
    stack: Stack, answer: Answer
) -> None:
    """Threats 4 to 6, CVE-2023-27488, CVE-2024-23324.

    A failing authorization service must not open the door.
    """
    stack.edge.answer = answer
    refused = await stack.envoy.get("/a/b/tracking/", f"{GRANT}: forged")
    assert refused.status == 503
    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert refused.headers["retry-after"] == "5"
    assert stack.mlflow.seen == []
    stack.edge.answer = allow
    assert (await stack.envoy.get("/a/b/tracking/")).status == 200


async def test_an_edge_that_is_down_is_a_503_and_mlflow_is_not_reached(tmp_path: Path) -> None:
    """Threats 5 and 6."""
    async with (
        upstream(free_port()) as mlflow,
        envoy(options(tmp_path, mlflow.port), tmp_path) as proxy,
    ):
        refused = await proxy.get("/a/b/tracking/")
        assert refused.status == 503
        assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert refused.headers["retry-after"] == "5"
        assert mlflow.seen == []


async def test_a_worker_that_is_gone_is_left_out(tmp_path: Path) -> None:
    edge = Edge(allow)
    alive, gone = f"unix:{tmp_path}/check-0.sock", f"unix:{tmp_path}/check-1.sock"
    async with (
        upstream(free_port()) as mlflow,
        authz(alive, edge.check),
        envoy(options(tmp_path, mlflow.port, alive, gone), tmp_path) as proxy,
    ):
        in_a_row = 0
        async with asyncio.timeout(20):
            while in_a_row < 20:
                status = (await proxy.get("/a/b/tracking/")).status
                in_a_row = in_a_row + 1 if status == 200 else 0


async def test_workers_share_the_load(tmp_path: Path) -> None:
    edges = [Edge(allow), Edge(allow)]
    sockets = [f"unix:{tmp_path}/check-{number}.sock" for number in range(2)]
    async with (
        upstream(free_port()) as mlflow,
        authz(sockets[0], edges[0].check),
        authz(sockets[1], edges[1].check),
        envoy(options(tmp_path, mlflow.port, *sockets), tmp_path) as proxy,
    ):
        for _ in range(40):
            await proxy.get("/a/b/tracking/")
    # Envoy compares two endpoints drawn by chance: all forty on one is one in 2 ** 39.
    assert all(edge.asked for edge in edges)


async def test_mlflow_down_is_a_503_in_its_own_form(tmp_path: Path) -> None:
    edge = Edge(allow)
    async with (
        authz(f"unix:{tmp_path}/check.sock", edge.check),
        envoy(options(tmp_path, free_port()), tmp_path) as proxy,
    ):
        refused = await proxy.get("/a/b/tracking/")
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert "MLflow cannot be reached" in refused.json()["message"]


async def test_a_refusal_of_the_edge_passes_unchanged(stack: Stack) -> None:
    stack.edge.answer = deny
    refused = await stack.envoy.get("/a/b/tracking/")
    assert (refused.status, refused.json()) == (403, {"message": "ours"})
    assert stack.mlflow.seen == []


@pytest.mark.parametrize("host", ["public.example", "evil.example", "127.0.0.1"])
@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/version", "/static-files/x.js", "/auth", "/auth/login", "/auth/p/7", "/x/y"],
)
async def test_nothing_is_answered_without_a_check(stack: Stack, path: str, host: str) -> None:
    """Threat 11, envoyproxy/envoy #44397: no route is left out of it."""
    stack.edge.answer = deny
    sent = request("GET", path).replace(b"public.example", host.encode())
    assert (await stack.envoy.send(sent)).json() == {"message": "ours"}
    assert (len(stack.edge.asked), stack.mlflow.seen) == (1, [])


async def test_a_redirect_of_the_edge_passes_with_all_its_cookies(stack: Stack) -> None:
    """Threat 16."""
    stack.edge.answer = redirect
    sent = await stack.envoy.get("/a/b/tracking/")
    assert (sent.status, sent.headers["location"]) == (302, "/elsewhere")
    assert sent.headers["set-cookie"] == "a=1; Path=/, b=2"
    assert stack.mlflow.seen == []


async def test_answers_do_not_tell_what_serves_them(stack: Stack) -> None:
    answer = await stack.envoy.get("/a/b/tracking/")
    assert "server" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("x-envoy")]


@pytest.mark.parametrize("path", ["/ready", "/config_dump", "/quitquitquit", "/stats"])
async def test_the_admin_interface_is_not_behind_the_listener(stack: Stack, path: str) -> None:
    assert (await stack.envoy.send(request("POST", path))).body == b"ok"
    assert stack.mlflow.seen[-1].target == path
    assert len(stack.edge.asked) == 1


async def test_the_access_log_says_what_happened_and_nothing_secret(tmp_path: Path) -> None:
    async with running(tmp_path) as stack:
        lines = ["authorization: Bearer s3cret", "x-request-id: s3cret", "referer: /s3cret"]
        await stack.envoy.get("/group/s3cret/tracking/?q=s3cret", *lines)
        stack.edge.answer = deny
        await stack.envoy.get("/group/s3cret/tracking/", *lines)
    allowed, denied = stack.envoy.log
    assert (allowed["status"], allowed["outcome"]) == (200, "via_upstream")
    assert (denied["status"], denied["outcome"]) == (403, "ext_authz_denied")
    assert allowed["method"] == "GET"
    assert re.fullmatch(r"[0-9a-f-]{36}", allowed["id"])
    assert "s3cret" not in str(stack.envoy.log)
