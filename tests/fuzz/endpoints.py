"""Which endpoint a path reaches: as uvicorn, Starlette and Flask read it, and as it is written.

The plugin asks its table about the endpoint that was reached, and the edge decides about the path
as it is written. A path for which the two differ would be decided as one thing and served as
another.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

import httptools
from starlette.routing import Match, Route
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect, Rule

from extauthz.plugin.rules import FLASK, NATIVE

_PARTS: Final = re.compile(r"[<{](?:path:)?\w+(:path)?[>}]")


async def _nothing(_: object) -> None:
    raise AssertionError("nothing is served here")


_NATIVE: Final = [(path, Route(path, _nothing, methods=[method])) for method, path in NATIVE]
_FLASK: Final = Map([Rule(path, methods=[method], endpoint=path) for method, path in FLASK])


def reached(method: str, target: str) -> str | None:
    """Return the endpoint that a request reaches, None for none that is served."""
    # As uvicorn's `httptools_impl` does.
    path = unquote(httptools.parse_url(target.encode("ascii")).path.decode("ascii"))
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    for name, route in _NATIVE:
        if route.matches(scope)[0] is Match.FULL:
            return name
    try:
        endpoint, _ = _FLASK.bind("localhost").match(path, method)
    except RequestRedirect as redirect:
        return f"redirect to {redirect.new_url}"
    except HTTPException:
        return None
    return str(endpoint)


def written(target: str) -> set[str]:
    """Return the endpoints whose pattern a path matches as it is written, escapes and all."""
    path = target.partition("?")[0]
    return {endpoint for endpoint, pattern in _PATTERNS if pattern.fullmatch(path)}


def _patterns(paths: Iterable[str]) -> list[tuple[str, re.Pattern[str]]]:
    return [(path, re.compile(_pattern(path))) for path in sorted(set(paths))]


def _pattern(path: str) -> str:
    pieces, end = [], 0
    for part in _PARTS.finditer(path):
        pieces += [re.escape(path[end : part.start()]), ".+" if "path" in part[0] else "[^/]+"]
        end = part.end()
    return "".join([*pieces, re.escape(path[end:])])


_PATTERNS: Final = _patterns(path for _, path in [*FLASK, *NATIVE])
