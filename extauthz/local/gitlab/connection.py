"""Pages of a GraphQL list."""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from typing import Any

from graphql import GraphQLError
from pydantic_core import from_json, to_json

from extauthz.local.gitlab.records import Project

LARGEST_PAGE = 100


def connection(
    projects: Sequence[Project],
    arguments: dict[str, Any],
    entity: Callable[[Project], dict[str, Any]],
) -> dict[str, Any]:
    """Return the page after a cursor; more than 100 are cut to 100 without a word."""
    start = 0
    if after := arguments.get("after"):
        known = [project.id for project in projects]
        last = _id_in(after)
        start = known.index(last) + 1 if last in known else len(known)
    asked = arguments.get("first")
    size = LARGEST_PAGE if asked is None else min(max(asked, 0), LARGEST_PAGE)
    page = projects[start : start + size]
    nodes = [entity(project) for project in page]
    cursors = [_cursor(project) for project in page]
    return {
        "count": len(projects),
        "nodes": nodes,
        "edges": [
            {"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)
        ],
        "pageInfo": {
            "hasNextPage": start + size < len(projects),
            "hasPreviousPage": start > 0,
            "startCursor": cursors[0] if cursors else None,
            "endCursor": cursors[-1] if cursors else None,
        },
    }


def _cursor(project: Project) -> str:
    return b64encode(to_json({"id": str(project.id)})).decode()


def _id_in(cursor: str) -> int:
    try:
        return int(from_json(b64decode(cursor, validate=True))["id"])
    except (NotBase64, ValueError, KeyError, TypeError):
        raise GraphQLError("Please provide a valid cursor") from None
