"""What a client may make the server hold: bodies that it sends, and files that it does not read."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPResponse

import psutil
import pytest

from extauthz.grant import HEADER, Grant, Why
from extauthz.levels import Role
from tests.plugin.world import API, ARTIFACTS, World
from tests.polling import eventually
from tests.servers.mlflow import PUBLIC, MLflow, project

MIB = 1024 * 1024
# Far below what the clients here send or leave unread.
GROWTH = 60 * MIB


def _held(server: MLflow) -> int:
    """Return the memory of the largest of the server's processes."""
    whole = psutil.Process(server.pid)
    return max(p.memory_info().rss for p in (whole, *whole.children(recursive=True)))


@contextmanager
def _request(
    server: MLflow, method: str, path: str, grant: Grant | None, *headers: str
) -> Iterator[socket.socket]:
    """Send the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers]
    if grant is not None:
        lines.append(f"{HEADER}: {server.signer.sign(grant)}")
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        yield connection


def _status(connection: socket.socket) -> int:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status


@pytest.mark.parametrize(
    ("method", "path", "grant"), [("HEAD", "/health", None), ("GET", "/version", PUBLIC)]
)
def test_what_is_public_holds_no_body(
    server: MLflow, method: str, path: str, grant: Grant | None
) -> None:
    """Anybody can send one there, without a token."""
    before = _held(server)

    with _request(server, method, path, grant, f"Content-Length: {300 * MIB}") as connection:
        try:
            for _ in range(299):
                connection.sendall(bytes(MIB))
        except ConnectionError:
            pass  # the server has answered and closed
        else:
            assert _status(connection) == 200
        assert _held(server) - before < GROWTH


@pytest.mark.parametrize(("role", "most"), [(Role.READ, 1), (Role.WRITE, 32)])
@pytest.mark.parametrize("framing", ["Content-Length", "Transfer-Encoding"])
def test_a_body_that_is_too_large_is_refused_before_it_ends(
    server: MLflow, ours: World, role: Role, most: int, framing: str
) -> None:
    grant = project(ours.number, role, Why.GUEST if role is Role.READ else None)
    chunked = framing == "Transfer-Encoding"
    head = f"{framing}: {'chunked' if chunked else 300 * MIB}"
    piece = b"%x\r\n%s\r\n" % (MIB, b" " * MIB) if chunked else b" " * MIB
    before = _held(server)

    with _request(server, "POST", f"{API}/runs/search", grant, head) as connection:
        for _ in range(most):
            connection.sendall(piece)
        connection.sendall(piece[: MIB // 2])
        assert _status(connection) == 413

    assert _held(server) - before < GROWTH + 2 * most * MIB


def test_a_chunked_body_is_read(server: MLflow, ours: World) -> None:
    head = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    with _request(server, "POST", f"{API}/runs/search", ours.grant, *head) as connection:
        body = b'{"experiment_ids": ["%s"]}' % ours.experiment.encode()
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        answer = HTTPResponse(connection)
        answer.begin()
        assert ours.run.encode() in answer.read()


def test_a_client_that_leaves_half_way_changes_nothing(server: MLflow, ours: World) -> None:
    before = server.contents()
    with _request(
        server, "POST", f"{API}/experiments/create", ours.grant, "Content-Length: 17"
    ) as connection:
        connection.sendall(b'{"name": "half"}')

    assert server.ask("GET", "/version", ours.grant).status == 200
    assert server.contents() == before


def test_readers_who_do_not_read_cost_neither_memory_nor_threads(
    server: MLflow, fresh: World
) -> None:
    """More of them than there are threads for Flask, of a file of 200 MiB."""
    path = f"{ARTIFACTS}/{fresh.files}/large.bin"
    assert server.ask("PUT", path, fresh.grant, bytes(200 * MIB)).status == 200
    file = f"/get-artifact?run_id={fresh.run}&path=large.bin"
    before = _held(server)

    with ExitStack() as readers:
        for _ in range(45):
            reader = readers.enter_context(_request(server, "GET", file, fresh.grant))
            assert reader.recv(8) == b"HTTP/1.1"

        # Each has a piece under way, and what its connection buffers.
        assert _held(server) - before < 45 * 2 * MIB
        assert server.ask("GET", "/version", fresh.grant).status == 200
        assert _open_files(server, "large.bin") == 45
    eventually(lambda: _open_files(server, "large.bin"), 0)

    assert server.ask("GET", file, fresh.grant).body == bytes(200 * MIB)


def _open_files(server: MLflow, name: str) -> int:
    whole = psutil.Process(server.pid)
    return sum(
        file.path.endswith(name)
        for process in whole.children(recursive=True)
        for file in process.open_files()
    )
