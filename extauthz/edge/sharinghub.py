"""SharingHub as the provider: one call a project, which it answers from GitLab."""

import asyncio
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from extauthz.edge import sharinghub_answers as answers
from extauthz.edge.credentials import Credential, Kind, token_credential
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.operations import Operation
from extauthz.edge.policy import absent
from extauthz.edge.provider import Asker, Project, Reach, User
from extauthz.edge.refusals import NotFound, Refusal, Unauthenticated
from extauthz.edge.sharinghub_answers import unreadable
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Answer, Call, Upstream

_SESSION_PATH: Final = "/api/auth/info"
# GitLab numbers projects from 1: asked for this one, SharingHub looks at the credential only.
_NO_PROJECT: Final = 0
_LENGTH_OF_SUBJECT: Final = 32
_VISITOR: Final = User("visitor", "visitor")


class SharingHub:
    """Asks SharingHub about a caller, with the caller's GitLab token or with none."""

    def __init__(
        self, upstream: Upstream, fingerprints: Fingerprints, *, session_cookie: str
    ) -> None:
        self._upstream = upstream
        self._fingerprints = fingerprints
        self._session_cookie = session_cookie

    async def token(self, asker: Asker) -> Credential:
        """Return the token in a session, of which nothing is proven yet.

        Raises Unauthenticated for a session that is none. SharingHub says 200 to any token here,
        so only a cookie may ever be sent.
        """
        cookie = f"{self._session_cookie}={asker.credential.secret.get_secret_value()}"
        headers = {"Cookie": cookie}
        call = Call(Operation.SESSION, _SESSION_PATH, headers, who=asker.name, line=asker.line)
        answer = await self._upstream.ask(call)
        match answer.status, answers.is_refusal(answer.body):
            case HTTPStatus.OK, _:
                return token_credential(answers.token_of(answer.body))
            case HTTPStatus.UNAUTHORIZED, True:
                raise answers.no_session()
            case _:
                raise unreadable()

    async def project(self, asker: Asker, path: str) -> tuple[User, Project]:
        """Return the caller and the project at a path, which has two segments or more.

        SharingHub takes digits for an id, and lets a crafted path change its question to GitLab:
        only checked paths may come here, and the answer must be about the asked one.
        """
        project = await self._ask(Operation.PROJECT, asker, path)
        if project.path.lower() != path.lower():
            raise unreadable()
        return self._user(asker.credential), project

    async def projects(self, asker: Asker, ids: Sequence[int]) -> tuple[User, Sequence[Project]]:
        """Return the caller and those of the projects that he can see: all are asked for."""
        # The first goes alone: a credential that is no good should cost one call, not all of them.
        found = await self._one_by_one(asker, iter(ids[:1] or [_NO_PROJECT]))
        # Whoever is not refused is accepted, also where there is nothing for him.
        asker.proven = True
        return self._user(asker.credential), found + await self._together(asker, ids[1:])

    async def reach(self, asker: Asker) -> Reach:  # noqa: ARG002 - as every provider
        """Return that a token may do what its owner may: SharingHub cannot see its scopes."""
        return Reach(writes=True)

    async def _together(self, asker: Asker, ids: Sequence[int]) -> list[Project]:
        """Ask no more at once than there are slots: no view waits in line for itself."""
        left = iter(ids)
        try:
            async with asyncio.TaskGroup() as group:
                lanes = [
                    group.create_task(self._one_by_one(asker, left))
                    for _ in range(min(len(ids), Line.VIEWS.slots))
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [project for lane in lanes for project in lane.result()]

    async def _one_by_one(self, asker: Asker, ids: Iterator[int]) -> list[Project]:
        found = []
        for number in ids:
            try:
                project = await self._ask(Operation.PROJECTS, asker, str(number))
            except NotFound:
                continue
            if project.id != number:
                raise unreadable()
            found.append(project)
        return found

    async def _ask(self, operation: Operation, asker: Asker, name: str) -> Project:
        path = f"/api/check/{quote(name)}?info=true"
        credential, headers = asker.credential, {}
        if credential.kind is Kind.TOKEN:
            headers["X-Gitlab-Token"] = credential.secret.get_secret_value()
        call = Call(
            operation,
            path,
            headers,
            who=asker.name,
            line=asker.line,
            definite=answers.is_uncategorised,
        )
        answer = await self._upstream.ask(call)
        if answer.status != HTTPStatus.OK:
            raise _refusal_of(answer, credential)
        return answers.project_of(answer.body, visitor=credential.kind is Kind.VISITOR)

    def _user(self, credential: Credential) -> User:
        """Return the caller as far as SharingHub tells who he is: by his token only."""
        if credential.kind is Kind.VISITOR:
            return _VISITOR
        fingerprint = self._fingerprints.of(credential).hex()[:_LENGTH_OF_SUBJECT]
        return User(f"sharinghub:{fingerprint}", "")


def _refusal_of(answer: Answer, credential: Credential) -> Refusal:
    """Read a refusal; its `detail` quotes GitLab's addresses, so it is shown to nobody."""
    if not answers.is_refusal(answer.body):
        return unreadable()
    match answer.status:
        case HTTPStatus.UNAUTHORIZED if credential.kind is Kind.VISITOR:
            return sign_in()
        case HTTPStatus.UNAUTHORIZED:
            return Unauthenticated("SharingHub does not accept this token; it may have ended.")
        case HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND | HTTPStatus.INTERNAL_SERVER_ERROR:
            return absent()
        case _:
            return unreadable()


def sign_in() -> Unauthenticated:
    """Return the refusal of a visitor where there are none."""
    return Unauthenticated(
        "Sign in with SharingHub, or send a GitLab token: set MLFLOW_TRACKING_TOKEN."
    )
