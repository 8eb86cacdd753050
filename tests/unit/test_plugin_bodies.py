"""Bodies before an app that records them: read within limits, or not at all."""

import json
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from extauthz.grant import Grant, Why
from extauthz.levels import Role
from extauthz.plugin.bodies import LARGEST, LARGEST_OF_A_READER, BoundedBodies
from extauthz.plugin.context import acting_under
from tests.servers.mlflow import everything, project

WRITER = project(1)
READERS = [project(1, Role.READ, Why.GUEST), everything(1)]
PIECE = 256 * 1024


@dataclass(slots=True)
class Exchange:
    """One request in pieces; counts how many of them were taken."""

    pieces: list[bytes]
    leaves: bool = False
    taken: int = 0
    handed: list[tuple[bytes, dict[bytes, bytes]]] = field(default_factory=list)
    sent: list[MutableMapping[str, Any]] = field(default_factory=list)

    async def ask(self, method: str, *headers: tuple[bytes, bytes]) -> int:
        """Send the request; returns the status."""
        scope = {"type": "http", "method": method, "headers": list(headers)}
        await BoundedBodies(self._app)(scope, self._receive, self._send)
        return self.sent[0]["status"] if self.sent else 0

    async def _receive(self) -> MutableMapping[str, Any]:
        if self.taken == len(self.pieces):
            return {"type": "http.disconnect"}
        self.taken += 1
        more = self.leaves or self.taken < len(self.pieces)
        return {"type": "http.request", "body": self.pieces[self.taken - 1], "more_body": more}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        assert not message["more_body"]
        assert await receive() == {"type": "http.disconnect"}
        self.handed.append((message["body"], dict(scope["headers"])))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def _pieces(size: int) -> list[bytes]:
    return [b"x" * min(PIECE, size - at) for at in range(0, size, PIECE)]


@pytest.mark.parametrize(
    ("grant", "limit"), [(WRITER, LARGEST), *((g, LARGEST_OF_A_READER) for g in READERS)]
)
async def test_a_body_may_be_just_so_large(grant: Grant, limit: int) -> None:
    whole, larger = Exchange(_pieces(limit)), Exchange([*_pieces(limit), b"x", b"never taken"])

    with acting_under(grant):
        assert await whole.ask("POST") == 200
        assert await larger.ask("POST") == 413

    assert [len(body) for body, _ in whole.handed] == [limit]
    assert larger.handed == []
    assert larger.taken == len(larger.pieces) - 1
    assert json.loads(larger.sent[1]["body"])["error_code"] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_only_reads_has_no_body(method: str) -> None:
    bare, laden = Exchange([b""]), Exchange([b"x", b"never taken"])

    with acting_under(WRITER):
        assert await bare.ask(method) == 200
        assert await laden.ask(method) == 400

    assert laden.taken == 1
    assert laden.handed == []


async def test_a_client_that_leaves_half_way_has_asked_for_nothing() -> None:
    exchange = Exchange([b"half"], leaves=True)

    with acting_under(WRITER):
        assert await exchange.ask("POST") == 400

    assert exchange.handed == []


async def test_a_chunked_body_is_handed_on_with_its_length() -> None:
    exchange = Exchange([b"one", b"two"])

    with acting_under(WRITER):
        await exchange.ask("POST", (b"transfer-encoding", b"chunked"), (b"accept", b"*/*"))

    assert exchange.handed == [(b"onetwo", {b"accept": b"*/*", b"content-length": b"6"})]
