"""The real Envoy with our configuration, between a raw client and a recording upstream."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from extauthz._pb.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_http import CLIENT
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER as GRANT
from tests.servers.authz import Answer, authz
from tests.servers.echo import Upstream, upstream
from tests.servers.envoy import ALL, Envoy, envoy, request, validate
from tests.servers.ports import free_port


@dataclass(slots=True)
class Edge:
    """Allows everything with a grant, until told otherwise; remembers what it was asked."""

    answer: Answer
    asked: list[CheckRequest] = field(default_factory=list)

    async def check(self, question: CheckRequest) -> bytes:
        self.asked.append(question)
        return await self.answer(question)


@dataclass(frozen=True, slots=True)
class Stack:
    envoy: Envoy
    edge: Edge
    mlflow: Upstream


async def allow(_: CheckRequest) -> bytes:
    grant = HeaderValueOption(
        header=HeaderValue(key=GRANT, value="ours"),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return CheckResponse(
        status=Status(code=0), ok_response=OkHttpResponse(headers=[grant])
    ).SerializeToString()


async def allow_without_a_grant(_: CheckRequest) -> bytes:
    return CheckResponse(status=Status(code=0), ok_response=OkHttpResponse()).SerializeToString()


async def deny(_: CheckRequest) -> bytes:
    refusal = DeniedHttpResponse(status=HttpStatus(code=403), body='{"message": "ours"}')
    return CheckResponse(status=Status(code=7), denied_response=refusal).SerializeToString()


async def garbage(_: CheckRequest) -> bytes:
    return b"\xff\xff\xff"


async def hang(_: CheckRequest) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


async def crash(_: CheckRequest) -> bytes:
    raise RuntimeError("the edge has a defect")


def options(folder: Path, upstream_port: int, *check: str) -> EnvoyOptions:
    return EnvoyOptions(
        listen=f"127.0.0.1:{free_port()}",
        check=check or (f"unix:{folder}/check.sock",),
        check_timeout=0.5,
        mlflow=f"127.0.0.1:{upstream_port}",
        mlflow_host="mlflow.internal:5001",
        admin=f"unix:{folder}/admin.sock",
    )


@asynccontextmanager
async def running(folder: Path, binary: Path = ALL["1.40.0"]) -> AsyncIterator[Stack]:
    edge = Edge(allow)
    async with (
        upstream(free_port()) as mlflow,
        authz(f"unix:{folder}/check.sock", edge.check),
        envoy(options(folder, mlflow.port), folder, binary=binary) as proxy,
    ):
        yield Stack(proxy, edge, mlflow)


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
    """CVE-2023-27488, CVE-2024-23324: a failing authorization service must not open the door."""
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


@pytest.mark.parametrize("name", [GRANT, GRANT.upper(), "X-MLFLOW-WORKSPACE"])
@pytest.mark.parametrize("answer", [allow, allow_without_a_grant])
async def test_headers_that_only_the_edge_may_set_are_stripped(
    stack: Stack, name: str, answer: Answer
) -> None:
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
    """CVE-2025-64484: WSGI reads the underscore twin as the header itself."""
    refused = await stack.envoy.get("/a/b/tracking/", line)
    assert refused.status == 400
    assert refused.json()["error_code"] == "BAD_REQUEST"
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_over_http2_a_header_with_an_underscore_does_not_pass_either(stack: Stack) -> None:
    assert await over_http2(stack.envoy, "x-other: 1") == "200"
    assert stack.mlflow.seen[-1].values("x-other") == ["1"]
    assert await over_http2(stack.envoy, "x_extauthz_grant: forged") != "200"
    assert len(stack.mlflow.seen) == 1


@pytest.mark.parametrize("path", ["/a%2Fb", "/a%2f..%2fb", "/a%5Cb", "/a%5c..%5cb", "/a%00b"])
async def test_an_ambiguous_path_is_a_400(stack: Stack, path: str) -> None:
    """CVE-2021-32779, CVE-2026-73511: an escaped slash is a slash to the next reader."""
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
    """CVE-2021-29492, CVE-2026-73551."""
    assert (await stack.envoy.get(f"{path}?x=%2F..%2F")).status == 200
    assert stack.edge.asked[-1].attributes.request.http.path == stack.mlflow.seen[-1].target
    assert "?x=%2F..%2F" in stack.mlflow.seen[-1].target


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "LINK"])
async def test_a_method_that_mlflow_never_needs_is_refused(stack: Stack, method: str) -> None:
    refused = await stack.envoy.send(request(method, "/a/b/tracking/"))
    assert refused.status in (400, 403)
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_connect_is_refused(stack: Stack) -> None:
    """CVE-2026-73547."""
    refused = await stack.envoy.send(request("CONNECT", "mlflow.internal:5001"))
    assert refused.status in (403, 404)
    assert (stack.edge.asked, stack.mlflow.seen) == ([], [])


async def test_a_websocket_is_refused(stack: Stack) -> None:
    """CVE-2026-73548, CVE-2025-64763: after an upgrade nothing is checked any more."""
    refused = await stack.envoy.get(
        "/a/b/tracking/",
        *("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13"),
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    assert refused.status == 403
    assert refused.json()["error_code"] == "PERMISSION_DENIED"
    assert stack.mlflow.seen == []


async def test_an_upgrade_to_http2_is_ignored(stack: Stack) -> None:
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
    refused = await stack.envoy.get("/", f"x-filler: {'v' * 100 * 1024}")
    assert refused.status == 431
    assert refused.json()["message"] == "The request's headers are too large."
    assert stack.mlflow.seen == []


async def test_mlflow_is_asked_for_its_own_host(stack: Stack) -> None:
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
    """CVE-2023-27487, CVE-2024-45806."""
    assert (await stack.envoy.get("/a/b/tracking/", line)).status == 200
    assert stack.mlflow.seen[-1].values(line.partition(":")[0]) == []


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
