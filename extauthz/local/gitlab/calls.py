"""The log of calls, by which tests count what a client asks of GitLab."""

import re
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web
from graphql import FieldNode, GraphQLError, OperationDefinitionNode, parse
from pydantic_core import from_json

GRAPHQL_PATH = "/api/graphql"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `operation` names the root fields of a GraphQL query, sorted and with commas.

    At the token endpoint it is the grant type. `headers` are the lower-case names of its headers,
    never their values.
    """

    method: str
    path: str
    operation: str
    headers: tuple[str, ...]


@dataclass(slots=True)
class CallLog:
    """The latest calls, oldest first."""

    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=_KEPT))

    async def note(self, request: web.Request) -> None:
        """Write down a request."""
        operation = ""
        if request.path == GRAPHQL_PATH:
            operation = _operation(await request.read())
        elif request.path == TOKEN_PATH:
            operation = str((await request.post()).get("grant_type", ""))
        names = sorted({name.lower() for name in request.headers})
        self.calls.append(Call(request.method, request.raw_path, operation, tuple(names)))

    def matching(self, path: str = "") -> list[Call]:
        """Return the calls whose path has the pattern in it."""
        return [call for call in self.calls if re.search(path, call.path)]


def _operation(body: bytes) -> str:
    try:
        document = parse(from_json(body)["query"])
    except (ValueError, KeyError, TypeError, GraphQLError):
        return ""
    fields = {
        selection.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
        for selection in definition.selection_set.selections
        if isinstance(selection, FieldNode)
    }
    return ",".join(sorted(fields))
