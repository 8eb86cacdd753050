"""The guard: asks the endpoint table about the endpoint that MLflow itself routed a request to.

A path has many spellings that reach one handler (`//api/…`, `experiments%2Fsearch`), so nothing
here looks at the raw path. Of MLflow's native routes only those in the table are served at all;
every other request falls through to Flask, whose endpoints are asked about one by one.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from flask import Flask, Response, request
from mlflow.server.artifact_router import download_artifact, upload_artifact
from mlflow.server.fastapi_app import (
    add_fastapi_workspace_middleware,
    init_fastapi_security,
)
from mlflow.server.handlers import build_server_info_payload
from mlflow.server.server_info_api import health

from extauthz.grant import View
from extauthz.plugin import artifacts, multipart
from extauthz.plugin.bodies import BoundedBodies
from extauthz.plugin.bridge import Bridge
from extauthz.plugin.context import current, workspaces
from extauthz.plugin.errors import refuse, without_insides
from extauthz.plugin.gate import refused
from extauthz.plugin.graphql import check_query
from extauthz.plugin.narrow import narrow, narrow_to_stored, owner_of
from extauthz.plugin.otlp import export
from extauthz.plugin.refusals import Malformed, Refusal
from extauthz.plugin.roles import check
from extauthz.plugin.rules import FLASK, GRAPHQL, NATIVE, Artifact, Rule

# As many as Starlette's bridge has.
_THREADS: Final = 40
_LOOK_UPS: Final = 4
_EXPRESSIONS: Final = (
    *("filter", "filter_string", "filterString", "order_by", "orderBy"),
    *("filters", "base_filter", "baseFilter"),
    *("filter_string1", "filterString1", "filter_string2", "filterString2"),
)
_LONGEST_EXPRESSION: Final = 16 * 1024
_CALLS: Final = ("/api/", "/ajax-api/")

Endpoint = Callable[..., Awaitable[Any]]


def guarded(flask_app: Flask) -> FastAPI:
    """Return MLflow's server with the guard in front of each endpoint."""
    flask_app.before_request(_check_flask)
    flask_app.after_request(without_insides)
    multipart.answer_refusals(flask_app)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    init_fastapi_security(app)
    add_fastapi_workspace_middleware(app)
    app.add_exception_handler(Refusal, _refused)
    for method, path in NATIVE:
        endpoint, checked = _native(method, path), [Depends(_check_native)]
        app.add_api_route(path, endpoint, methods=[method], dependencies=checked)
    app.mount("/", BoundedBodies(Bridge(flask_app, threads=_THREADS)))
    return app


def server_info() -> Endpoint:
    """Return the endpoint that answers what the server offers, without what is switched off here.

    With `workspaces_enabled` the stock UI would show a picker of workspaces; with the others
    clients would use presigned addresses, which are not in the table, or send the parts of each
    large file to the S3 server, which not every client of MLflow can reach. Who can says so to the
    client (`MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD`), which then does not ask here.
    """
    look_ups = CapacityLimiter(_LOOK_UPS)

    async def answer() -> JSONResponse:
        payload = await run_sync(build_server_info_payload, limiter=look_ups)
        return JSONResponse(
            {name: False if isinstance(value, bool) else value for name, value in payload.items()}
        )

    return answer


def _native(method: str, path: str) -> Endpoint:
    endpoint: Endpoint
    match method, path.rpartition("/")[-1]:
        case "GET", "health":
            endpoint = health
        case "GET", "server-info":
            endpoint = server_info()
        case "POST", "traces":
            endpoint = export
        case "GET", _:
            endpoint = download_artifact
        case _:
            endpoint = upload_artifact
    return endpoint


async def _check_native(asked: Request) -> None:
    rule = check(current(), NATIVE.get((asked.method, path := asked.scope["route"].path)), path)
    if rule.artifact is not Artifact.NONE:
        stored = asked.path_params[rule.parameter]
        if (grant := current()) is not None and grant.view is View.GLOBAL:
            narrow_to_stored(grant, stored)
        _check_path(rule, stored)


async def _refused(_: Request, refusal: Any) -> JSONResponse:
    return refused(refusal)


def _check_flask() -> Response | None:
    try:
        endpoint = request.url_rule.rule if request.url_rule else ""
        rule = check(current(), FLASK.get((_method(endpoint), endpoint)), endpoint or request.path)
        fields = _body() if rule.artifact in (Artifact.NONE, Artifact.PARTS) else {}
        _check_body(fields, endpoint)
        _narrow(rule, endpoint, fields)
        for path in _paths(rule):
            if rule.artifact is Artifact.PARTS:
                multipart.check(endpoint, path, fields, *workspaces())
            else:
                _check_path(rule, path)
    except Refusal as refusal:
        return refuse(refusal.body(), refusal.status, refusal.headers())
    return None


def _narrow(rule: Rule, endpoint: str, fields: Mapping[str, Any]) -> None:
    """In the view of everything, go on in the one project that a request is about."""
    grant = current()
    if grant is None or grant.view is not View.GLOBAL:
        return
    if owner := owner_of(endpoint):
        narrow(grant, owner, _named(owner.parameters, fields))
    elif rule.artifact is Artifact.STORED:
        for path in _paths(rule):
            narrow_to_stored(grant, path)


def _named(parameters: Sequence[str], fields: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return every value that a request has for some parameters, wherever MLflow may read it."""
    places = (request.view_args or {}, fields)
    return {
        name: [
            *request.args.getlist(name),
            *(place[name] for place in places if isinstance(place.get(name), str)),
        ]
        for name in parameters
    }


def _method(endpoint: str) -> str:
    # MLflow's calls read the query of a GET only, and so would read another path than was checked.
    return "GET" if request.method == "HEAD" and not endpoint.startswith(_CALLS) else request.method


def _body() -> Mapping[str, Any]:
    """Return the JSON of the request as MLflow's handlers read it, empty if it has none."""
    try:
        body = request.get_json(force=True, silent=True)
        # MLflow's oldest clients send JSON within JSON.
        body = json.loads(body) if isinstance(body, str) else body
    except (RecursionError, ValueError) as error:
        raise Malformed("The JSON of this request cannot be read") from error
    if not isinstance(body, dict | None):
        raise Malformed("The JSON of a request is an object")
    return body or {}


def _check_body(fields: Mapping[str, Any], endpoint: str) -> None:
    if endpoint == GRAPHQL:
        check_query(fields)
    for name in _EXPRESSIONS:
        # Parsing a long one would keep everybody else waiting.
        if len(str([*request.args.getlist(name), fields.get(name)])) > _LONGEST_EXPRESSION:
            raise Malformed(f"`{name}` has at most {_LONGEST_EXPRESSION // 1024} KiB")


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
    match rule.artifact:
        case Artifact.STORED:
            artifacts.check_stored(path, *workspaces())
        case Artifact.FILE:
            artifacts.check_file(path, *workspaces())
        case _:
            artifacts.check_within(path)
