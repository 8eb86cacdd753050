"""What clients send to the real Envoy: what the edge is asked, and what MLflow would receive."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from extauthz.edge.envoy_http import CLIENT
from extauthz.grant import HEADER as GRANT
from tests.e2e.told_edge import Edge, Stack, allow, allow_without_a_grant, options, running
from tests.servers.authz import Answer, authz
from tests.servers.echo import upstream
from tests.servers.envoy import Envoy, envoy, request
from tests.servers.ports import free_port


async def over_http2(proxy: Envoy, line: str) -> str:
    """Return the status of a GET over HTTP/2, 000 if the stream was reset."""
    curl = ["curl", "--silent", "--http2-prior-knowledge", "--header", line]
    process = await asyncio.create_subprocess_exec(
        *(*curl, "--output", "/dev/null", "--write-out", "%{http_code}"),
        f"http://127.0.0.1:{proxy.port}/a/b/tracking/",
        stdout=asyncio.subprocess.PIPE,
    )
    status, _ = await process.communicate()
    return status.decode()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path) as each:
        yield each


@pytest.mark.parametrize("name", [GRANT, GRANT.upper(), "X-MLFLOW-WORKSPACE"])
@pytest.mark.parametrize("answer", [allow, allow_without_a_grant])
async def test_headers_that_only_the_edge_may_set_are_stripped(
    stack: Stack, name: str, answer: Answer
) -> None:
    """Threats 17, 18, 23 and 25."""
    stack.edge.answer = answer
    lines = [f"{name}: forged", f"{name}: again", f"connection: keep-alive, {name}"]
    assert (await stack.envoy.get("/a/b/tracking/", *lines)).status == 200
    expected = ["ours"] if answer is allow else []
    assert stack.mlflow.seen[-1].values(GRANT) == expected
    assert stack.mlflow.seen[-1].values("x-mlflow-workspace") == []
    assert name.lower() not in stack.edge.asked[-1].attributes.request.http.headers


@pytest.mark.parametrize(
    "line",
    ["x_extauthz_grant: forged", "x-extauthz_grant: forged", "X_MLFLOW_WORKSPACE: p1"],
)
async def test_a_header_with_an_underscore_is_a_400(stack: Stack, line: str) -> None:
    """Threat 19, CVE-2025-64484: WSGI reads the underscore twin as the header itself."""
    refused = await stack.envoy.get("/a/b/tracking/", line)
    assert refused.status == 400
    assert refused.json()["error_code"] == "BAD_REQUEST"
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_over_http2_a_header_with_an_underscore_does_not_pass_either(stack: Stack) -> None:
    """Threat 19."""
    assert await over_http2(stack.envoy, "x-other: 1") == "200"
    assert stack.mlflow.seen[-1].values("x-other") == ["1"]
    assert await over_http2(stack.envoy, "x_extauthz_grant: forged") != "200"
    assert len(stack.mlflow.seen) == 1


@pytest.mark.parametrize("path", ["/a%2Fb", "/a%2f..%2fb", "/a%5Cb", "/a%5c..%5cb", "/a%00b"])
async def test_an_ambiguous_path_is_a_400(stack: Stack, path: str) -> None:
    """Threats 32 and 35, CVE-2021-32779, CVE-2026-73511.

    An escaped slash is a slash to the next reader.
    """
    refused = await stack.envoy.get(path)
    assert refused.status == 400
    assert refused.json()["error_code"] == "BAD_REQUEST"
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "//a//b", "/a//../b", "/a/%2e%2e/b", "/%72uns", "/a/..;/b", "/a;x=y", "/a\\..\\b"],
)
async def test_the_path_that_is_decided_is_the_path_that_is_forwarded(
    stack: Stack, path: str
) -> None:
    """Threats 31, 33 and 34, CVE-2021-29492, CVE-2026-73551."""
    assert (await stack.envoy.get(f"{path}?x=%2F..%2F")).status == 200
    assert stack.edge.asked[-1].attributes.request.http.path == stack.mlflow.seen[-1].target
    assert "?x=%2F..%2F" in stack.mlflow.seen[-1].target


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
async def test_a_request_about_no_path_is_a_400(stack: Stack, method: str) -> None:
    """Threat 36: RFC 9112, 3.2.4."""
    assert (await stack.envoy.send(request(method, "*"))).status in (400, 404)
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "LINK"])
async def test_a_method_that_mlflow_never_needs_is_refused(stack: Stack, method: str) -> None:
    """Threat 8."""
    refused = await stack.envoy.send(request(method, "/a/b/tracking/"))
    assert refused.status in (400, 403)
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_connect_is_refused(stack: Stack) -> None:
    """Threat 8, CVE-2026-73547."""
    refused = await stack.envoy.send(request("CONNECT", "mlflow.internal:5001"))
    assert refused.status in (403, 404)
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_a_websocket_is_refused(stack: Stack) -> None:
    """Threat 14, CVE-2026-73548, CVE-2025-64763: after an upgrade nothing is checked any more."""
    refused = await stack.envoy.get(
        "/a/b/tracking/",
        *("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13"),
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert refused.status == 403
    assert refused.json()["error_code"] == "PERMISSION_DENIED"
    assert stack.mlflow.seen == []


async def test_an_upgrade_to_http2_is_ignored(stack: Stack) -> None:
    """Threat 14."""
    settings = "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"
    lines = ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", settings]
    assert (await stack.envoy.get("/a/b/tracking/", *lines)).status == 200
    assert stack.mlflow.seen[-1].values("upgrade") == []


async def test_seventy_kilobytes_of_headers_reach_mlflow(stack: Stack) -> None:
    lines = [f"x-filler-{number}: {'v' * 7 * 1024}" for number in range(10)]
    assert (await stack.envoy.get("/a/b/tracking/", *lines)).status == 200
    seen = stack.mlflow.seen[-1]
    assert sum(len(value) for name, value in seen.headers if "filler" in name) == 70 * 1024


async def test_more_headers_than_that_are_a_readable_431(stack: Stack) -> None:
    """Threat 26."""
    refused = await stack.envoy.get("/", f"x-filler: {'v' * 100 * 1024}")
    assert refused.status == 431
    assert refused.json()["message"] == "The request's headers are too large."
    assert stack.mlflow.seen == []


async def test_more_headers_than_anybody_needs_are_a_431(stack: Stack) -> None:
    """Threat 26: ten thousand of them, of which no one is large."""
    refused = await stack.envoy.get("/", *(f"x-{number}: 1" for number in range(10_000)))
    assert refused.status == 431
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_mlflow_is_asked_for_its_own_host(stack: Stack) -> None:
    """Threats 38 and 121: whatever host a client names."""
    await stack.envoy.get("/a/b/tracking/")
    assert stack.mlflow.seen[-1].values("host") == ["mlflow.internal:5001"]
    assert stack.edge.asked[-1].attributes.request.http.host == "public.example"


async def test_the_edge_sees_the_headers_that_it_reads_and_no_others(stack: Stack) -> None:
    lines = ["authorization: Bearer t", "cookie: a=b", "private-token: t", "x-other: 1"]
    await stack.envoy.get("/a/b/tracking/", *lines)
    headers = stack.edge.asked[-1].attributes.request.http.headers
    ours = {"x-request-id", CLIENT}
    assert set(headers) == {"authorization", "cookie", "private-token", *ours}
    assert stack.mlflow.seen[-1].values("x-other") == ["1"]


@pytest.mark.parametrize(
    ("hops", "forwarded", "client"),
    [
        (0, "198.51.100.1, 203.0.113.7", "127.0.0.1"),
        (1, "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (2, "198.51.100.1, 203.0.113.7", "198.51.100.1"),
        (2, "203.0.113.7", "127.0.0.1"),
        (1, "made up", "127.0.0.1"),
    ],
)
async def test_only_trusted_proxies_say_for_whom_they_speak(
    tmp_path: Path, hops: int, forwarded: str, client: str
) -> None:
    """Threats 24 and 30: proxies are counted, so that there is no set of networks to trust."""
    edge = Edge(allow)
    lines = [f"x-forwarded-for: {forwarded}", f"{CLIENT}: 192.0.2.99"]
    async with (
        upstream(free_port()) as mlflow,
        authz(f"unix:{tmp_path}/check.sock", edge.check),
        envoy(replace(options(tmp_path, mlflow.port), trusted_hops=hops), tmp_path) as proxy,
    ):
        await proxy.get("/a/b/tracking/", *lines)
    assert edge.asked[-1].attributes.request.http.headers[CLIENT] == client


@pytest.mark.parametrize(
    "line",
    [
        "x-envoy-original-path: /other",
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-retry-on: 5xx",
        "x-envoy-max-retries: 99",
        "x-envoy-internal: true",
        "x-envoy-decorator-operation: other",
    ],
)
async def test_envoy_takes_no_orders_from_clients(stack: Stack, line: str) -> None:
    """Threats 12 and 23, CVE-2023-27487, CVE-2024-45806."""
    assert (await stack.envoy.get("/a/b/tracking/", line)).status == 200
    assert stack.mlflow.seen[-1].values(line.partition(":")[0]) == []
