"""Errors of MLflow's own: told to the client without the server's insides.

MLflow quotes SQL with its parameters, database addresses and file paths in its error messages.
"""

import json
import re
from http import HTTPStatus
from typing import Any, Final

import structlog
from flask import Response, g, jsonify, request

from extauthz.plugin.rules import GRAPHQL

log: Final = structlog.get_logger("extauthz.plugin")

_INTERNAL: Final = "MLflow failed at this request; the server's log says why"
_REFUSED: Final = "The database refused this request: check its values"
# Statements grow with what a filter asks for.
LOGGED: Final = 2000
# The class of a driver's error, as SQLAlchemy writes it, a statement, or a link to explanations.
_INSIDES: Final = re.compile(
    r"\((?=[\w.]{0,99}(?:[Ee]rr|[Ee]xception|Violation))[\w.]{1,100}\)"
    r"|\(raised as a result of|\[SQL: |sqlalche\.me"
)


def refuse(body: dict[str, str], status: int, headers: dict[str, str]) -> Response:
    """Return an answer of our own, whose words stay."""
    g.refused = True
    answer: Response = jsonify(body)
    answer.status_code = status
    answer.headers.update(headers)
    return answer


def without_insides(response: Response) -> Response:
    """Return an answer as it may leave the server.

    Only errors are looked at: rows may hold the text of any exception.
    """
    if response.direct_passthrough or "refused" in g:
        return response
    told = _told(response)
    if told is None:
        return response
    log.error("request.failed", answer=response.get_data(as_text=True)[:LOGGED])
    answer: Response = jsonify(told)
    answer.status_code = response.status_code
    if retry := response.headers.get("Retry-After"):
        answer.headers["Retry-After"] = retry
    return answer


def _told(response: Response) -> dict[str, Any] | None:
    """Return what is told in place of an answer, None if it may stay as it is."""
    status = response.status_code
    if response.is_streamed and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    if status >= HTTPStatus.BAD_REQUEST:
        return told_of(status, response.get_data(as_text=True))
    if request.url_rule and request.url_rule.rule == GRAPHQL:
        return _told_of_graphql(response)
    return None


def told_of(status: int, text: str) -> dict[str, Any] | None:
    """Return what is told in place of the text of an error, None if it may stay as it is."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code = _parsed(text).get("error_code", "INTERNAL_ERROR")
        return {"error_code": code, "message": _INTERNAL}
    if not _INSIDES.search(text):
        return None
    given = _parsed(text)
    code = given.get("error_code", "INVALID_PARAMETER_VALUE")
    return {"error_code": code, "message": _outside(str(given.get("message", "")))}


def _told_of_graphql(response: Response) -> dict[str, Any] | None:
    """GraphQL answers 200 and lists the errors of its resolvers."""
    if response.get_data().rstrip().endswith(b'"errors":null}'):
        return None
    given = _parsed(response.get_data(as_text=True))
    errors = [str(error) for error in given.get("errors") or ()]
    if not any(map(_INSIDES.search, errors)):
        return None
    return given | {"errors": [_outside(error) for error in errors]}


def _parsed(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _outside(message: str) -> str:
    """Return a message up to where it begins to quote the database."""
    outside = _INSIDES.split(message, maxsplit=1)[0].strip(" .:\n")
    return outside.removesuffix("Error").strip(" .:\n") or _REFUSED
