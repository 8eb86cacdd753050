"""GitLab's two APIs: how to ask them with somebody's token, and how they refuse."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from extauthz.edge import gitlab_answers as answers
from extauthz.edge.gitlab_answers import Page, unreadable
from extauthz.edge.operations import Operation
from extauthz.edge.policy import absent
from extauthz.edge.provider import Asker, Project, User
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from extauthz.edge.upstream import Answer, Call, Upstream

_REST: Final = "/api/v4"
_PERSONAL_PREFIX: Final = "glpat-"
_USEFUL: Final = frozenset({"api", "read_api"})
_SCOPES: Final = "Make one with the scope `api`, or `read_api` to read only."


class GitLabApi:
    """Calls GitLab; raises the Refusal where GitLab definitely refuses, Outage where it does not.

    Tokens go as Bearer: GitLab looks for OAuth and personal, project and group tokens there.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def query(
        self, operation: Operation, asker: Asker, text: str, **variables: object
    ) -> Page:
        """Ask GraphQL.

        A page without a user proves nobody, and one that is not sound says nothing: ask REST.
        """
        body = {"query": text, "variables": variables}
        answer = await self._ask(operation, asker, "/api/graphql", body)
        match answer.status:
            case HTTPStatus.OK:
                page = answers.page_of(answer.body)
                asker.proven = asker.proven or page.user is not None
                return page
            case HTTPStatus.UNAUTHORIZED:
                raise await self._useless(asker)
            case HTTPStatus.FORBIDDEN:
                raise refusal_of(answer)
            case HTTPStatus.NOT_FOUND | HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY:
                # GraphQL is not there, or refuses this query.
                return Page(user=None, data={}, sound=False)
            case _:
                raise unreadable()

    async def project(self, asker: Asker, name: str | int) -> Project | int:
        """Return a project by path or id as REST knows it, or the id it has moved to."""
        path = f"{_REST}/projects/{quote(str(name), safe='')}"
        answer = await self._ask(Operation.PROJECT, asker, path)
        if answer.location:
            return answers.moved_to(self._upstream.base + path, answer.location)
        if answer.status != HTTPStatus.OK:
            raise refusal_of(answer)
        return answers.rest_project(answer.body)

    async def user(self, asker: Asker) -> User:
        """Return the owner of a token."""
        answer = await self._ask(Operation.USER, asker, f"{_REST}/user")
        match answer.status:
            case HTTPStatus.OK:
                user = answers.rest_user(answer.body)
                asker.proven = True
                return user
            case HTTPStatus.UNAUTHORIZED:
                raise _refused()
            case HTTPStatus.FORBIDDEN:
                raise Forbidden(f"GitLab does not say whose token this is. {_SCOPES}")
            case _:
                raise unreadable()

    async def member(self, asker: Asker, project: int, user: User) -> Answer:
        """Return what REST says of a member, inherited and invited ones included."""
        number = answers.user_number(user)
        path = f"{_REST}/projects/{project}/members/all/{number}"
        return await self._ask(Operation.MEMBER, asker, path)

    async def personal_token(self, asker: Asker, *, optional: bool = False) -> Answer:
        """Return a personal, project or group token's description of itself."""
        path = f"{_REST}/personal_access_tokens/self"
        return await self._ask(Operation.TOKEN, asker, path, optional=optional)

    async def oauth_token(self, asker: Asker) -> Answer:
        """Return an OAuth token's description of itself."""
        return await self._ask(Operation.TOKEN, asker, "/oauth/token/info")

    async def _useless(self, asker: Asker) -> Refusal:
        """Tell a bad token from a good one without the scopes: GraphQL says 401 to both.

        A good explanation is worth a second call only while nobody waits for his first.
        """
        asker.proven = False
        if asker.credential.secret.get_secret_value().startswith(_PERSONAL_PREFIX):
            try:
                answer = await self.personal_token(asker, optional=True)
            except Unavailable:
                return _refused()
            match answer.body:
                case {"scopes": list(scopes)} if not _USEFUL.intersection(scopes):
                    return _too_weak()
        return _refused()

    async def _ask(
        self,
        operation: Operation,
        asker: Asker,
        path: str,
        body: object = None,
        *,
        optional: bool = False,
    ) -> Answer:
        call = Call(
            operation,
            path,
            {"Authorization": f"Bearer {asker.credential.secret.get_secret_value()}"},
            body,
            who=asker.name,
            line=asker.line,
            optional=optional,
        )
        return await self._upstream.ask(call)


def refusal_of(answer: Answer) -> Refusal:
    """Read a refusal. A 403 that GitLab did not word is none: a ban, a firewall."""
    match answer.status, answer.body:
        case HTTPStatus.UNAUTHORIZED, _:
            return _refused()
        case HTTPStatus.FORBIDDEN, {"error": "insufficient_scope"}:
            return _too_weak()
        case HTTPStatus.FORBIDDEN, {"error": "insufficient_granular_scope"}:
            return NotFound("This fine-grained token lacks `Project: Read` in this project.")
        case HTTPStatus.FORBIDDEN, {"message": str()} | {"errors": list()}:
            return Forbidden("GitLab does not let this account in; it may be blocked.")
        case HTTPStatus.NOT_FOUND, _:
            return absent()
        case _:
            return unreadable()


def _refused() -> Unauthenticated:
    return Unauthenticated(f"GitLab does not accept this token; it may have ended. {_SCOPES}")


def _too_weak() -> Forbidden:
    return Forbidden(f"This token lacks the scope to be of use here. {_SCOPES}")
