"""Grants as they arrive at the real server."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPResponse

import pytest
from pydantic import SecretStr

from extauthz.grant import HEADER, LEEWAY, LIFETIME, Grant, GrantKey, GrantSigner
from tests.plugin.endpoints import CREATES, READS, WRITES
from tests.plugin.mixture import Asked, Scope, everywhere, in_project, side_by_side
from tests.plugin.world import API, ARTIFACTS, World, build
from tests.servers.mlflow import GRANT_KEY, MLflow, everything

PIECE = 4_096


def _pieces(text: bytes) -> Iterator[bytes]:
    return (text[at : at + PIECE] for at in range(0, len(text), PIECE))


def _signed(grant: Grant, *, ago: float = 0, key: str = "") -> str:
    secret = SecretStr(key) if key else GRANT_KEY
    return GrantSigner(GrantKey(secret), clock=lambda: time.time() - ago).sign(grant)


def test_a_grant_of_5000_projects_arrives_in_pieces(server: MLflow, ours: World) -> None:
    """The other parser of uvicorn, h11, gives up after 16 KiB of headers."""
    others = random.Random(7).sample(range(10_000, 90_000_000), 4_999)
    header = f"{HEADER}: {_signed(everything(ours.number, *others))}"
    request = (
        f"GET {API}/experiments/search?max_results=9 HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\n{header}\r\nConnection: close\r\n\r\n"
    ).encode()
    assert len(request) > 16 * 1024

    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in _pieces(request):
            connection.sendall(piece)
        answer = HTTPResponse(connection)
        answer.begin()
        body = answer.read().decode()

    assert answer.status == 200
    assert f'"{ours.experiment}"' in body


def test_a_direct_call_reaches_health_only(server: MLflow, ours: World) -> None:
    """Threat 28."""
    for path in ("/", "/version", "/static-files/favicon.ico", f"{API}/experiments/search"):
        answer = server.ask("GET", path)
        assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
    for token in ("", "Bearer x", ours.run):
        assert server.ask("GET", "/", token).status == 403
    assert server.ask("GET", "/health").body == b"OK"


def test_without_a_grant_no_endpoint_answers(server: MLflow, ours: World) -> None:
    """Threat 28."""
    before = server.contents()
    for endpoint in (*READS, *WRITES, *CREATES):
        for key in endpoint.keys:
            method, path, body = endpoint.about(ours, key)
            answer = server.ask(method, path, None, body)
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED"), key
    assert server.contents() == before


def test_grants_that_are_not_ours_or_not_now_are_refused(server: MLflow, ours: World) -> None:
    """Threat 28."""
    path = f"{API}/runs/get?run_id={ours.run}"
    good = _signed(ours.grant)

    assert server.ask("GET", path, good).status == 200
    assert server.ask("GET", path, _signed(ours.grant, key="k" * 40)).status == 403
    assert server.ask("GET", path, good, headers=[(HEADER, good)]).status == 403
    assert server.ask("GET", path, good[:-2] + "xx").status == 403
    for ago in (LIFETIME + LEEWAY + 5, -LEEWAY - 5):
        answer = server.ask("GET", path, _signed(ours.grant, ago=ago))
        assert (answer.status, answer.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert int(answer.headers["retry-after"]) > 0
    log = server.log.read_text()
    assert "grant.expired" in log
    assert "grant.forged" in log
    assert good not in log


@pytest.mark.parametrize("name", ["x_mlflow_workspace", "X_Extauthz_Grant", "x-mlflow_workspace"])
def test_a_workspace_header_of_the_client_changes_nothing(
    server: MLflow, ours: World, theirs: World, name: str
) -> None:
    """Threats 19, 23 and 115."""
    path = f"{API}/runs/get?run_id={theirs.run}"
    workspace = f"p{theirs.number}"

    assert server.ask("GET", path, ours.grant, headers=[(name, workspace)]).status == 400
    sent = [("X-MLFLOW-WORKSPACE", workspace)]
    assert server.ask("GET", path, ours.grant, headers=sent).status == 404
    assert server.ask("GET", path, theirs.grant, headers=[("X-MLFLOW-WORKSPACE", "")]).status == 200


def test_an_upload_may_outlast_its_grant(server: MLflow, fresh: World) -> None:
    token = _signed(fresh.grant, ago=LIFETIME + LEEWAY - 2)
    path = f"{ARTIFACTS}/{fresh.files}/slow.txt"
    head = (
        f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{HEADER}: {token}\r\n"
        "Content-Length: 10\r\nConnection: close\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall(head.encode() + b"first")
        while server.ask("GET", path, token).status != 503:
            time.sleep(0.1)
        connection.sendall(b" last")
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200

    assert server.ask("GET", path, fresh.grant).body == b"first last"


def test_a_websocket_is_refused(server: MLflow, ours: World) -> None:
    """Threat 14."""
    upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    assert server.ask("GET", "/", ours.grant, headers=upgrade).status in (400, 403)


def test_requests_side_by_side_keep_to_their_projects(
    server: MLflow, next_number: Callable[[], int]
) -> None:
    """Threats 119 and 120: the thread that served one project serves the other next."""
    pair = [build(server, next_number()) for _ in range(2)]

    def scope(own: World, grant: Grant, requests: list[Asked]) -> Scope:
        def send(each: Asked) -> tuple[int, bytes]:
            answer = server.ask(each.method, each.path, grant, each.body, each.headers)
            return answer.status, answer.body

        return Scope(own, requests, send)

    both = (pair, pair[::-1])
    projects = [scope(own, own.grant, in_project(own, other)) for own, other in both]
    views = [scope(own, everything(own.number), everywhere(own, other)) for own, other in both]

    assert side_by_side(*projects, *views) >= 500
