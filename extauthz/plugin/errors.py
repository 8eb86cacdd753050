"""Errors of MLflow's own: told to the client without the server's insides.

MLflow quotes SQL with its parameters, database addresses and file paths in its error messages.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flask import Response, jsonify

log: Final = logging.getLogger(__name__)

_INTERNAL: Final = "MLflow failed at this request; the server's log says why"
_REFUSED: Final = "The database refused this request: check its values"
_INSIDES: Final = re.compile(rb"\[SQL: |sqlalche\.me|\((?:psycopg2?|sqlite3|pymysql|pyodbc)\.")


def without_insides(response: Response) -> Response:
    """Return an answer as it may leave the server."""
    if response.direct_passthrough or response.is_streamed:
        return response
    failed = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    if not failed and not _INSIDES.search(response.get_data()):
        return response
    log.error("request.failed: %s", response.get_data(as_text=True))
    given = response.get_json(silent=True)
    told: Response = jsonify(_told(given if isinstance(given, Mapping) else {}, failed=failed))
    told.status_code = response.status_code
    if retry := response.headers.get("Retry-After"):
        told.headers["Retry-After"] = retry
    return told


def _told(given: Mapping[str, Any], *, failed: bool) -> dict[str, Any]:
    message = _INTERNAL if failed else _REFUSED
    if "errors" in given:  # GraphQL
        return {"data": None, "errors": [{"message": message}]}
    return {"error_code": given.get("error_code", "INTERNAL_ERROR"), "message": message}
