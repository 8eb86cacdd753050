"""What is wrong behind Envoy or in front of it: exactly that is found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from extauthz._pb.external_auth_pb2 import CheckRequest, CheckResponse, OkHttpResponse, Status
from extauthz.doctor.command import DoctorOptions
from tests.certificates import certificate
from tests.doctor.deployment import HOST, Deployment, diagnosis
from tests.doctor.gateways import Config, Gateway, authorizer_of, exempt, gateway, manager_of
from tests.servers.authz import authz
from tests.servers.edge import Edge
from tests.servers.envoy import DEFAULT
from tests.servers.istio import Policy, all_but, istio_gateway
from tests.servers.mlflow import MLflow
from tests.servers.ports import free_port


def take_twins(config: Config) -> None:
    del manager_of(config)["common_http_protocol_options"]["headers_with_underscores_action"]


def drop_twins(config: Config) -> None:
    options = manager_of(config)["common_http_protocol_options"]
    options["headers_with_underscores_action"] = "DROP_HEADER"


def test_mlflow_without_the_plugin(
    deployment: Deployment, unguarded: MLflow, tmp_path: Path
) -> None:
    with gateway(tmp_path, deployment.edge, unguarded.port, pem=deployment.pem) as through:
        found = deployment.diagnosis(through, mlflow=f"http://127.0.0.1:{unguarded.port}")
    direct = {"direct MLflow", "direct MLflow, spoofed grant"}
    assert found.wrong == {*direct, "static files"}, found.text
    assert "--app-name extauthz" in found.seen("direct MLflow")


def test_mlflow_itself_at_the_public_address(deployment: Deployment, unguarded: MLflow) -> None:
    with_plugin, without = (
        diagnosis(DoctorOptions(url=f"http://127.0.0.1:{port}", json=True), {})
        for port in (deployment.mlflow.port, unguarded.port)
    )
    assert with_plugin.wrong == {"every path checked", "spoofed grant"}, with_plugin.text
    wanted = {"every path checked", "path spellings", "cross-site POST", "public URL"}
    assert {*wanted, "auth pages", "static files"} <= without.wrong, without.text


def test_a_twin_that_nobody_refuses(
    deployment: Deployment, unguarded: MLflow, tmp_path: Path
) -> None:
    """CVE-2025-64484."""
    with gateway(
        tmp_path, deployment.edge, unguarded.port, take_twins, pem=deployment.pem
    ) as through:
        found = deployment.diagnosis(through, mlflow=f"http://127.0.0.1:{unguarded.port}")
        unknown = deployment.diagnosis(through, mlflow="")
    assert "underscore twin" in found.wrong, found.text
    assert "underscore twin" in unknown.untested, unknown.text


def test_a_twin_that_is_dropped_on_the_way_is_fine(deployment: Deployment, tmp_path: Path) -> None:
    with gateway(
        tmp_path, deployment.edge, deployment.mlflow.port, drop_twins, pem=deployment.pem
    ) as through:
        found = deployment.diagnosis(through)
    assert found.wrong == set(), found.text


def test_a_mesh_policy_that_leaves_a_path_out(deployment: Deployment, tmp_path: Path) -> None:
    port = deployment.mlflow.port
    policy = Policy("1.30", all_but("/graphql"))
    with istio_gateway(tmp_path, DEFAULT, policy, check=deployment.edge.check, mlflow=port) as mesh:
        plain = deployment.url.replace("https", "http")
        found = deployment.diagnosis(Gateway(mesh.port, 0), url=plain, envoy_admin="")
    assert "nobody has checked /graphql" in found.seen("every path checked")
    assert "rules: [{}]" in found.seen("every path checked")
    # That gateway has neither TLS nor routes to the pages.
    assert found.wrong - {"https", "public URL"} == {"every path checked", "auth pages"}, found.text


def test_plain_http_where_people_believe_in_https(deployment: Deployment, tmp_path: Path) -> None:
    with gateway(tmp_path, deployment.edge, deployment.mlflow.port) as through:
        found = deployment.diagnosis(through, url=deployment.url.replace("https", "http"))
    wanted = {"https", "public URL", "OIDC request", "cookie attributes"}
    assert found.wrong == wanted, found.text


def test_another_public_url_than_people_use(deployment: Deployment, healthy: Gateway) -> None:
    found = deployment.diagnosis(healthy, url=f"https://{HOST}")
    assert found.wrong == {"public URL", "OIDC request"}, found.text
    assert f"it comes from {deployment.url}" in found.seen("public URL")


def test_a_certificate_that_nobody_trusts(
    deployment: Deployment, healthy: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    found = deployment.diagnosis(healthy)
    assert found.wrong == {"answers", "certificate"}, found.text
    assert "SSL_CERT_FILE" in found.seen("certificate")
    # What is asked of others is told all the same.
    assert {"direct MLflow", "Envoy version", "orphan workspaces"}.isdisjoint(found.untested)


def test_a_certificate_that_ends_soon(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path / "old.pem", [HOST], days=2)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with gateway(tmp_path, deployment.edge, deployment.mlflow.port, pem=pem) as through:
        found = deployment.diagnosis(through)
    assert found.wrong == {"certificate"}, found.text
    assert "ends in 2 days" in found.seen("certificate")


def test_a_backend_that_is_down(deployment: Deployment, tmp_path: Path) -> None:
    with gateway(tmp_path, deployment.edge, free_port(), pem=deployment.pem) as through:
        found = deployment.diagnosis(through)
    assert "503" in found.seen("answers")
    assert found.wrong == {"answers"}, found.text
    assert {"static files", "spoofed grant", "own project"} <= found.untested


def test_an_edge_that_is_down(deployment: Deployment, tmp_path: Path) -> None:
    with gateway(tmp_path, nobody(deployment), deployment.mlflow.port, pem=deployment.pem) as it:
        found = deployment.diagnosis(it)
    assert found.wrong == {"answers"}, found.text
    asked = {"every path checked", "spoofed grant", "path spellings", "cross-site POST"}
    assert {*asked, "auth pages", "own project"} <= found.untested


def test_an_edge_that_is_down_and_let_pass(deployment: Deployment, tmp_path: Path) -> None:
    def fail_open(config: Config) -> None:
        authorizer_of(config)["failure_mode_allow"] = True

    with gateway(
        tmp_path, nobody(deployment), deployment.mlflow.port, fail_open, pem=deployment.pem
    ) as through:
        found = deployment.diagnosis(through)
        unknown = deployment.diagnosis(through, envoy_admin="")
    assert found.wrong == {"every path checked", "fail-open"}, found.text
    assert unknown.wrong == {"every path checked"}, unknown.text


def nobody(deployment: Deployment) -> Edge:
    """Return where no edge listens."""
    here = deployment.pem.parent
    return replace(deployment.edge, check=f"unix:{here}/no.sock", pages=f"unix:{here}/no.sock")


async def test_an_edge_that_is_not_ours(deployment: Deployment, tmp_path: Path) -> None:
    """It lets everything pass, and what a client says of itself with it."""

    async def agree(_: CheckRequest) -> bytes:
        return CheckResponse(
            status=Status(code=0), ok_response=OkHttpResponse()
        ).SerializeToString()

    def strip_nothing(config: Config) -> None:
        del manager_of(config)["early_header_mutation_extensions"]

    async with authz(f"unix:{tmp_path}/other.sock", agree):
        other = replace(deployment.edge, check=f"unix:{tmp_path}/other.sock")
        with gateway(
            tmp_path, other, deployment.mlflow.port, strip_nothing, pem=deployment.pem
        ) as through:
            found = await asyncio.to_thread(deployment.diagnosis, through)
    assert found.wrong == {"every path checked", "spoofed grant", "auth pages"}, found.text


async def test_a_web_socket(deployment: Deployment, tmp_path: Path) -> None:
    async with taker_of_web_sockets() as port:

        def lead_to_it(config: Config) -> None:
            upgrades = [{"name": "upgrade", "string_match": {"exact": "websocket"}}]
            exempt({"prefix": "/", "headers": upgrades}, config, cluster="sockets")
            manager_of(config)["upgrade_configs"] = [{"upgrade_type": "websocket"}]
            config["static_resources"]["clusters"].append(_cluster("sockets", port))

        with gateway(
            tmp_path, deployment.edge, deployment.mlflow.port, lead_to_it, pem=deployment.pem
        ) as through:
            found = await asyncio.to_thread(deployment.diagnosis, through)
    assert found.wrong == {"WebSocket", "exempt routes"}, found.text


@asynccontextmanager
async def taker_of_web_sockets() -> AsyncIterator[int]:
    """Serve WebSockets on a port until the block ends."""

    async def accept(request: web.Request) -> web.StreamResponse:
        taken = web.WebSocketResponse()
        await taken.prepare(request)
        return taken

    app, port = web.Application(), free_port()
    app.router.add_get("/version", accept)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield port
    finally:
        await runner.cleanup()


def _cluster(name: str, port: int) -> Config:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "connect_timeout": "1s", "load_assignment": assignment}
