"""What is added to MLflow's page: a script, what it shows, and what other origins may do with it.

Nothing of MLflow's is changed but the one line that loads the script.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import structlog
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extauthz.grant import Grant, View
from extauthz.origins import frame_ancestors
from extauthz.plugin.context import current
from extauthz.plugin.roles import check, reason
from extauthz.plugin.rules import FLASK, Rule

log: Final = structlog.get_logger("extauthz.plugin")

PAGE: Final = "/"
SCRIPT: Final = "/static-files/extauthz.js"
VIEW: Final = "/extauthz/v1/view"
# MLflow's page asks with each list of runs, and shows an error unless it is answered.
GATEWAY: Final = "/ajax-api/2.0/mlflow/gateway-proxy"
# Relative, as all that the page loads, so that it stays below the prefix of a project.
TAG: Final = b'<script src="static-files/extauthz.js" defer></script>'
_OPENING: Final = ("x-frame-options", "access-control-")
_HEAD: Final = re.compile(rb"<head>(?=.*</head>\s*<body>)", re.DOTALL)
# The rights are those of MLflow's page and of its files.
_PAGE_RULE: Final = FLASK["GET", PAGE]
_FILE_RULE: Final = FLASK["GET", "/static-files/<path:path>"]
_NOBODY: Final = Grant(view=View.PUBLIC, instance="")


def add_to(server: FastAPI, pages: Path, *, framed_by: Sequence[str]) -> None:
    """Add to MLflow's server what people see of extauthz.

    `pages` is MLflow's folder with index.html, `framed_by` are the origins of other sites whose
    pages may show MLflow in a frame.
    """
    code = Asset("text/javascript", script(), _FILE_RULE).at(SCRIPT)
    routes = [Route(VIEW, _view), Route(GATEWAY, _no_gateway), code]
    if (page := page_in(pages)) is not None:
        routes.append(Asset("text/html", page, _PAGE_RULE).at(PAGE))
    # Before the ones that are there, the last of which takes everything.
    server.router.routes[:0] = routes
    server.add_middleware(OtherOrigins, framed_by=framed_by)


def script() -> bytes:
    """Return the script."""
    return (files("extauthz.plugin") / "static" / "extauthz.js").read_bytes()


def page_in(folder: Path) -> bytes | None:
    """Return MLflow's page with the script in it, None if it does not look as it is known to."""
    try:
        page = (folder / "index.html").read_bytes()
    except OSError:
        page = b""
    head = _HEAD.search(page)
    once = page.count(b"<head>") == page.count(b"</head>") == 1
    # The script makes room above this element.
    if head is None or not once or b'<div id="root"' not in page:
        log.warning("page.unknown", why="MLflow's page is served without links and a way out")
        return None
    # Deferred scripts run in their order, and this one has settings for MLflow's.
    return page[: head.end()] + TAG + page[head.end() :]


def shown(grant: Grant) -> dict[str, Any]:
    """Return what the page shows of a grant."""
    return {
        "view": grant.view,
        "project": grant.project_path,
        "role": grant.role,
        "why": reason(grant),
        "name": grant.name,
        "links": asdict(grant.links),
    }


@dataclass(frozen=True, slots=True)
class Asset:
    """A file held in memory, which browsers ask about each time: its name never changes."""

    kind: str
    content: bytes
    rule: Rule

    def at(self, path: str) -> Route:
        """Return the route that answers with it, to whom its rule allows."""
        etag = f'"{sha256(self.content).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}

        async def answer(request: Request) -> Response:
            check(current(), self.rule)
            if etag in request.headers.get("if-none-match", ""):
                return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
            return Response(self.content, headers=headers, media_type=self.kind)

        return Route(path, answer)


class OtherOrigins:
    """Has browsers keep MLflow's answers from pages of other origins.

    Some may show them in a frame, which X-Frame-Options cannot say. None may read them: MLflow
    would let each page of `http://localhost` do so with the cookies of whoever looks at it.
    """

    def __init__(self, app: ASGIApp, *, framed_by: Sequence[str]) -> None:
        self._app = app
        self._policy = frame_ancestors("'self'", *framed_by)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in [name for name in headers if name.startswith(_OPENING)]:
                    del headers[name]
                headers.append("content-security-policy", self._policy)
            await send(message)

        await self._app(scope, receive, send_kept)


async def _view(_: Request) -> JSONResponse:
    grant = current() or _NOBODY
    check(grant, _PAGE_RULE)
    return JSONResponse(shown(grant), headers={"Cache-Control": "no-store"})


async def _no_gateway(_: Request) -> JSONResponse:
    check(current(), _PAGE_RULE)
    # As MLflow itself where nobody has set up one.
    return JSONResponse({"endpoints": []}, headers={"Cache-Control": "no-store"})
