"""GitLab's GraphQL endpoint."""

from typing import Any

from aiohttp import web
from graphql import GraphQLError, GraphQLSchema, execute_sync, parse
from pydantic_core import from_json

from extauthz.local.gitlab.caller import Caller, Needs, caller_of, presents_token
from extauthz.local.gitlab.calls import GRAPHQL_PATH
from extauthz.local.gitlab.errors import AccountBlocked, ApiError
from extauthz.local.gitlab.resolvers import Query
from extauthz.local.gitlab.schema import schema_of
from extauthz.local.gitlab.site import Site
from extauthz.local.gitlab.validation import validation_errors

_NEEDS = Needs(("api", "read_api"))
_LONGEST_QUERY = 10_000


class GraphQL:
    """The route `/api/graphql`."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._schemas: dict[tuple[int, int], GraphQLSchema] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [web.post(GRAPHQL_PATH, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one query, or a list of them (GitLab: multiplex)."""
        try:
            caller = self._caller(request)
            asked = _asked(await request.read())
        except _Refused as refusal:
            body = {"errors": [{"message": str(refusal)}]}
            return web.json_response(body, status=refusal.status)
        if isinstance(asked, list):
            return web.json_response([self._execute(caller, each) for each in asked])
        return web.json_response(self._execute(caller, asked))

    def _caller(self, request: web.Request) -> Caller:
        """Return who calls.

        Unlike REST, a token that proves nobody is always refused, and never with a reason
        (GitLab: GraphqlController#authorize_access_api!).
        """
        try:
            caller = caller_of(self._site.instance, request.headers, _NEEDS)
        except AccountBlocked:
            raise _Refused(403, "API not accessible for user") from None
        except ApiError:
            raise _Refused(401, "Invalid token") from None
        if caller.user is None and presents_token(request.headers):
            raise _Refused(401, "Invalid token")
        return caller

    def _execute(self, caller: Caller, asked: dict[str, Any]) -> dict[str, Any]:
        if not asked.get("query"):
            return {"errors": [{"message": "No query string was present"}]}
        schema = self._schema()
        try:
            document = parse(asked["query"])
        except GraphQLError as error:
            return {"errors": [error.formatted]}
        if errors := validation_errors(schema, document):
            return {"errors": errors}
        result = execute_sync(
            schema,
            document,
            root_value=Query(self._site.instance, caller).root(),
            variable_values=asked.get("variables"),
            operation_name=asked.get("operationName"),
        )
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        return answer

    def _schema(self) -> GraphQLSchema:
        version = self._site.instance.version
        if version not in self._schemas:
            self._schemas[version] = schema_of(version)
        return self._schemas[version]


class _Refused(Exception):  # noqa: N818 - named for what happened
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _asked(body: bytes) -> Any:
    try:
        asked = from_json(body)
    except ValueError:
        raise _Refused(400, "Error parsing JSON") from None
    queries = asked if isinstance(asked, list) else [asked]
    if not all(isinstance(each, dict) for each in queries):
        raise _Refused(400, "Error parsing JSON")
    if sum(len(str(each.get("query", ""))) for each in queries) > _LONGEST_QUERY:
        raise _Refused(422, "Query too large")
    for each in queries:
        each["variables"] = _variables(each.get("variables"))
    return asked


def _variables(given: Any) -> dict[str, Any]:
    """Return variables given as an object or as its JSON text."""
    if isinstance(given, str) and given:
        try:
            given = from_json(given)
        except ValueError:
            raise _Refused(422, "Variables are invalid JSON") from None
    if not isinstance(given or {}, dict):
        raise _Refused(422, "Variables are not an object")
    return given or {}
