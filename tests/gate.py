"""The gate alone, in front of an app that records what it is handed."""

import json
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from structlog.contextvars import get_contextvars

from extauthz.grant import HEADER, Grant, GrantKey, GrantSigner, GrantVerifier, View
from extauthz.levels import Role
from extauthz.plugin.context import current
from extauthz.plugin.gate import Gate
from extauthz.plugin.grants import VerifiedGrants
from extauthz.plugin.metrics import Metrics, Opened

KEY = GrantKey(SecretStr("a grant key that is long enough for tests"))
OTHER_KEY = GrantKey(SecretStr("another grant key that is long enough too"))
INSTANCE = "gitlab.test"
NOW = 1_800_000_000.0
WRITER = Grant(
    view=View.PROJECT, instance=INSTANCE, role=Role.WRITE, project_id=42, project_path="acme/vision"
)
EVERYTHING = Grant(view=View.GLOBAL, instance=INSTANCE, projects=(1, 2))
SYSTEM = Grant(view=View.SYSTEM, instance=INSTANCE)


@dataclass(slots=True)
class Clock:
    """The time that grants are judged by."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class App:
    """Records the requests that got through, the grant each was made under, and their bodies."""

    seen: list[tuple[Scope, Grant | None]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    contexts: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append((scope, current()))
        self.contexts.append(get_contextvars())
        if scope["type"] == "http":
            self.bodies.append(await _whole(receive))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})


@dataclass(slots=True)
class Door:
    """A gate, its clock, and what it lets through."""

    clock: Clock = field(default_factory=Clock)
    app: App = field(default_factory=App)
    keys: Sequence[GrantKey] = (KEY,)
    owners: Callable[[], list[int]] = lambda: [3, 5]
    metrics: Metrics = field(default_factory=Metrics)
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        verifier = GrantVerifier(self.keys, instance=INSTANCE, clock=self.clock)
        grants = VerifiedGrants(verifier, clock=self.clock)
        self.gate = Gate(self.app, grants=grants, owners=self.owners, metrics=self.metrics)

    def sign(self, grant: Grant, key: GrantKey = KEY) -> tuple[str, str]:
        """Return the header that carries a grant."""
        return HEADER, GrantSigner(key, clock=self.clock).sign(grant)

    async def ask(
        self, *headers: tuple[str, str], path: str = "/", method: str = "GET", kind: str = "http"
    ) -> tuple[int, dict[str, str], Any]:
        """Send a request; returns status, headers and the body, parsed."""
        sent: list[MutableMapping[str, Any]] = []

        received = iter([b"sent", b" body"])

        async def receive() -> MutableMapping[str, Any]:
            if (body := next(received, None)) is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": body, "more_body": body == b"sent"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        scope = {"type": kind, "method": method, "path": path, "headers": raw}
        await self.gate(scope, receive, send)
        if kind == "websocket":
            return sent[0]["code"], {}, None
        body = b"".join(message.get("body", b"") for message in sent)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], answered, json.loads(body) if body else None

    def grants(self, result: Opened) -> float | None:
        """Return how many grants ended like this."""
        return self.metrics.registry.get_sample_value("extauthz_grants_total", {"result": result})

    def answers(self, view: View, status: str) -> float | None:
        """Return how many requests in a view had an answer of this class."""
        return self.metrics.registry.get_sample_value(
            "extauthz_requests_total", {"view": view, "status": status}
        )

    def received(self) -> dict[str, str]:
        """Return the headers of the last request that got through."""
        return {name.decode(): value.decode() for name, value in self.app.seen[-1][0]["headers"]}


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
