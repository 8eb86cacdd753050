"""The gate: the outermost ASGI app, which nothing passes without a valid grant."""

import re
from collections.abc import Callable
from typing import Final

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from extauthz.grant import HEADER, Grant, GrantExpired, GrantForged, View
from extauthz.headers import REMOVED
from extauthz.plugin.context import acting_under, workspace_of
from extauthz.plugin.grants import VerifiedGrants
from extauthz.plugin.metrics import Metrics, Opened
from extauthz.plugin.refusals import Denied, Malformed, Refusal, Unavailable

PROJECTS: Final = "/extauthz/v1/projects"
_GRANT: Final = HEADER.encode()
_WORKSPACE: Final = b"x-mlflow-workspace"
_REMOVED: Final = frozenset(name.encode() for name in (HEADER, *REMOVED))
_LOOK_UPS: Final = 2
_ID: Final = re.compile(r"[A-Za-z0-9_.:/+=-]{1,128}")
_HEALTH: Final = Grant(view=View.PUBLIC, instance="")

Headers = list[tuple[bytes, bytes]]


class Gate:
    """Opens the grant of every request, and lets MLflow see the request under it.

    `owners` returns the ids of the projects that own rows.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        grants: VerifiedGrants,
        owners: Callable[[], list[int]],
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._grants = grants
        self._owners = owners
        self._metrics = metrics
        self._log = structlog.get_logger("extauthz.plugin")
        # Whatever else waits for threads, the edge must get its answer.
        self._look_ups = CapacityLimiter(_LOOK_UPS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or the server's lifespan; WebSockets are closed unopened."""
        match scope["type"]:
            case "http":
                with bound_contextvars(request=_request_id(scope["headers"])):
                    await self._serve(scope, receive, send)
            case "lifespan":
                await self._app(scope, receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            grant, headers = self._admit(scope)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, send)
            return
        if grant.view is View.PUBLIC:
            receive = _without_body(receive)
        app = self._projects if grant.view is View.SYSTEM else self._app
        with acting_under(grant):
            await app({**scope, "headers": headers}, receive, self._counting(send, grant.view))

    def _admit(self, scope: Scope) -> tuple[Grant, Headers]:
        try:
            headers, copies = _clean(scope["headers"])
        except Malformed as refusal:
            raise self._noted(Opened.MALFORMED, refusal, str(refusal)) from None
        if not copies and scope["path"] == "/health" and scope["method"] in ("GET", "HEAD"):
            self._metrics.grant_opened(Opened.NONE)
            return _HEALTH, headers
        if len(copies) != 1:
            passed_by = Denied("MLflow is served through Envoy only: this request carries no grant")
            raise self._noted(Opened.REPEATED if copies else Opened.ABSENT, passed_by)
        grant = self._open(copies[0])
        if grant.view is View.PROJECT:
            headers.append((_WORKSPACE, workspace_of(grant.project_id).encode()))
        return grant, headers

    def _open(self, token: bytes) -> Grant:
        try:
            grant = self._grants.open(token.decode("latin-1"))
        except GrantForged as error:
            denied = Denied("This request's grant is not valid here")
            raise self._noted(Opened.FORGED, denied, str(error)) from error
        except GrantExpired as error:
            late = Unavailable("This request's grant has expired: try again")
            raise self._noted(Opened.EXPIRED, late, str(error)) from error
        self._metrics.grant_opened(Opened.ACCEPTED)
        return grant

    def _noted(self, result: Opened, refusal: Refusal, why: str = "") -> Refusal:
        self._metrics.grant_opened(result)
        self._log.warning(f"grant.{result}", status=refusal.status, why=why)
        return refusal

    def _counting(self, send: Send, view: View) -> Send:
        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.request_answered(view, message["status"])
            await send(message)

        return count

    async def _projects(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the edge which projects own rows."""
        try:
            answer = JSONResponse({"projects": await self._look_up(scope)})
        except Refusal as refusal:
            answer = refused(refusal)
        await answer(scope, receive, send)

    async def _look_up(self, scope: Scope) -> list[int]:
        if scope["path"] != PROJECTS or scope["method"] != "GET":
            raise Denied("The grant of the edge itself reaches the list of projects only")
        try:
            return await run_sync(self._owners, limiter=self._look_ups)
        except SQLAlchemyError as error:
            self._log.exception("database.failed")
            raise Unavailable("MLflow's database does not answer: try again") from error


def _request_id(headers: Headers) -> str:
    """Return the id under which Envoy and the edge log a request; an odd one is nobody's."""
    given = dict(headers).get(b"x-request-id", b"").decode("latin-1")
    return given if _ID.fullmatch(given) else ""


def refused(refusal: Refusal) -> JSONResponse:
    """Return the answer to a refused request."""
    return JSONResponse(refusal.body(), refusal.status, refusal.headers())


def _without_body(receive: Receive) -> Receive:
    """Return a `receive` that drops the body: anybody may send one, nothing public takes one."""
    empty: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def next_message() -> Message:
        if empty:
            return empty.pop()
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return next_message


def _clean(received: Headers) -> tuple[Headers, list[bytes]]:
    """Return the headers that MLflow may see, and the values of the grant header.

    WSGI folds `-` and `_` into one, so a twin such as `x_mlflow_workspace` would be taken for the
    header itself (CVE-2025-64484).
    """
    kept, copies = [], []
    for name, value in received:
        folded = name.lower().replace(b"_", b"-")
        if folded == b"upgrade":
            raise Malformed("MLflow has no use for a protocol upgrade")
        if folded not in _REMOVED:
            kept.append((name, value))
        elif b"_" in name:
            raise Malformed("Header names must not be written with underscores")
        elif folded == _GRANT:
            copies.append(value)
    return kept, copies
