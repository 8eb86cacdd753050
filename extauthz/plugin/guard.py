"""The guard: asks the endpoint table about the endpoint that MLflow itself routed a request to.

A path has many spellings that reach one handler (`//api/…`, `experiments%2Fsearch`), so nothing
here looks at the raw path. Of MLflow's native routes only those in the table are served at all;
every other request falls through to Flask, whose endpoints are asked about one by one.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import anyio.to_thread
from a2wsgi import WSGIMiddleware
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from flask import Flask, Response, jsonify, request
from mlflow.server.artifact_router import download_artifact, upload_artifact
from mlflow.server.fastapi_app import (
    add_fastapi_workspace_middleware,
    init_fastapi_security,
)
from mlflow.server.handlers import build_server_info_payload
from mlflow.server.server_info_api import health
from starlette.types import ASGIApp

from extauthz.plugin import artifacts
from extauthz.plugin.bodies import BoundedBodies
from extauthz.plugin.context import current, workspaces
from extauthz.plugin.errors import without_insides
from extauthz.plugin.gate import refused
from extauthz.plugin.graphql import check_query
from extauthz.plugin.refusals import Malformed, Refusal
from extauthz.plugin.roles import check
from extauthz.plugin.rules import FLASK, GRAPHQL, NATIVE, Artifact, Rule

# As many as Starlette's bridge has.
_THREADS: Final = 40
_LONGEST_FILTER: Final = 16 * 1024


def guarded(flask_app: Flask) -> FastAPI:
    """Return MLflow's server with the guard in front of each endpoint."""
    flask_app.before_request(_check_flask)
    flask_app.after_request(without_insides)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    init_fastapi_security(app)
    add_fastapi_workspace_middleware(app)
    app.add_exception_handler(Refusal, _refused)
    for method, path in NATIVE:
        endpoint, checked = _native(method, path), [Depends(_check_native)]
        app.add_api_route(path, endpoint, methods=[method], dependencies=checked)
    app.mount("/", BoundedBodies(_bridge(flask_app)))
    return app


def _bridge(flask_app: Any) -> ASGIApp:
    """Return Flask as ASGI; Starlette's bridge holds whole answers in memory for a slow reader."""
    bridge: Any = WSGIMiddleware(flask_app, workers=_THREADS)
    return cast("ASGIApp", bridge)


async def server_info() -> JSONResponse:
    """Answer what the server offers, without what is switched off here.

    With `workspaces_enabled` the stock UI would show a picker of workspaces; with the others
    clients would send artifacts to endpoints that are not in the table.
    """
    payload = await anyio.to_thread.run_sync(build_server_info_payload)
    return JSONResponse(
        {name: False if isinstance(value, bool) else value for name, value in payload.items()}
    )


def _native(method: str, path: str) -> Callable[..., Awaitable[Any]]:
    endpoint: Callable[..., Awaitable[Any]]
    match method, path.rpartition("/")[-1]:
        case "GET", "health":
            endpoint = health
        case "GET", "server-info":
            endpoint = server_info
        case "GET", _:
            endpoint = download_artifact
        case _:
            endpoint = upload_artifact
    return endpoint


async def _check_native(asked: Request) -> None:
    rule = check(current(), NATIVE.get((asked.method, asked.scope["route"].path)))
    if rule.artifact is not Artifact.NONE:
        _check_path(rule, asked.path_params[rule.parameter])


async def _refused(_: Request, refusal: Any) -> JSONResponse:
    return refused(refusal)


def _check_flask() -> Response | None:
    try:
        endpoint = request.url_rule.rule if request.url_rule else ""
        method = "GET" if request.method == "HEAD" else request.method
        rule = check(current(), FLASK.get((method, endpoint)))
        _check_filter()
        if endpoint == GRAPHQL:
            check_query(request.get_json(force=True, silent=True))
        for path in _paths(rule):
            _check_path(rule, path)
    except Refusal as refusal:
        answer: Response = jsonify(refusal.body())
        answer.status_code = refusal.status
        answer.headers.update(refusal.headers())
        return answer
    return None


def _check_filter() -> None:
    """Refuse a filter so long that parsing it would keep everybody else waiting."""
    body = request.get_json(force=True, silent=True)
    given = [*request.args.getlist("filter"), body.get("filter") if isinstance(body, dict) else ""]
    if any(isinstance(text, str) and len(text) > _LONGEST_FILTER for text in given):
        raise Malformed(f"A filter has at most {_LONGEST_FILTER} characters")


def _paths(rule: Rule) -> list[str]:
    if rule.artifact is Artifact.NONE:
        return []
    if request.view_args and rule.parameter in request.view_args:
        return [request.view_args[rule.parameter]]
    paths = request.args.getlist(rule.parameter)
    if rule.artifact is Artifact.STORED and not paths:
        raise Malformed(f"Name what to list in `{rule.parameter}`")
    # Clients send an empty path for the artifact root of a run.
    return [path for path in paths if path or rule.artifact is Artifact.STORED]


def _check_path(rule: Rule, path: str) -> None:
    if rule.artifact is Artifact.STORED:
        artifacts.check_stored(path, *workspaces())
    else:
        artifacts.check_within(path)
