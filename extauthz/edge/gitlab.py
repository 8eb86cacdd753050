"""GitLab as the provider: one GraphQL call per question, REST where GraphQL has no answer."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from extauthz.edge import gitlab_answers as answers
from extauthz.edge.credentials import Credential
from extauthz.edge.errors import NotFound
from extauthz.edge.gitlab_answers import Page, unreadable
from extauthz.edge.gitlab_api import PROJECT, PROJECTS, USER, GitLabApi, refusal_of
from extauthz.edge.policy import absent
from extauthz.edge.provider import Project, Reach, User
from extauthz.edge.upstream import Answer, Upstream

# GitLab bounds the complexity of a query; 25 projects stay well below it.
BATCH: Final = 25
_BATCHES_AT_ONCE: Final = 8
_WHO: Final = "currentUser { id username }"
_WHAT: Final = "id fullPath topics archived visibility maxAccessLevel { integerValue }"
_USER: Final = f"query {{ {_WHO} }}"
_PROJECT: Final = f"query($path: ID!) {{ {_WHO} project(fullPath: $path) {{ {_WHAT} }} }}"
_PROJECTS: Final = (
    f"query($ids: [ID!]) {{ {_WHO} projects(ids: $ids, first: {BATCH}) {{ nodes {{ {_WHAT} }} }} }}"
)
# GitLab (Doorkeeper) makes OAuth tokens of 64 hexadecimal digits, without a prefix.
_OAUTH_TOKEN: Final = re.compile("[0-9a-f]{64}")


class GitLab:
    """Asks GitLab about a caller, with the caller's own token."""

    def __init__(self, upstream: Upstream, *, wall: Callable[[], float] = time.time) -> None:
        self._api = GitLabApi(upstream)
        self._wall = wall
        # Shared by all global views, which so leave room for the checks of single projects.
        self._places = asyncio.Semaphore(_BATCHES_AT_ONCE)

    async def project(self, credential: Credential, path: str) -> tuple[User, Project]:
        """Return the caller and the project at a path; an old path leads to the moved project."""
        page = await self._api.query(PROJECT, credential, _PROJECT, path=path)
        node = page.data.get("project")
        if page.user is None or node is None:
            return await self._project_by_rest(credential, path, page)
        return page.user, _asked(answers.graphql_project(node), path)

    async def projects(
        self, credential: Credential, ids: Sequence[int]
    ) -> tuple[User, Sequence[Project]]:
        """Return the caller and those of the projects he can see: all batches, or an error."""
        batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        # The first goes alone: a token that is no good should cost one call, not all of them.
        user, found = await self._in_turn(credential, batches[0] if batches else ())
        for more in await self._together(credential, batches[1:]):
            found += more
        return user, found

    async def reach(self, credential: Credential) -> Reach:
        """Return what the token allows; one that GitLab does not describe only reads."""
        describers = [self._personal_reach, self._oauth_reach]
        if _OAUTH_TOKEN.fullmatch(credential.secret.get_secret_value()):
            describers.reverse()
        for describe in describers:
            if (reach := await describe(credential)) is not None:
                return reach
        return Reach(writes=False)

    async def _project_by_rest(
        self, credential: Credential, path: str, page: Page
    ) -> tuple[User, Project]:
        """Ask again where GraphQL said nothing.

        It follows no moves, tells fine-grained tokens no level, and knows none before 16.9.
        """
        user = page.user or await self._api.user(credential)
        project = await self._api.project(credential, path)
        if isinstance(project, int):
            return await self._moved(credential, project)
        return user, await self._with_level(credential, user, _asked(project, path))

    async def _moved(self, credential: Credential, number: int) -> tuple[User, Project]:
        user, found = await self._batch(credential, [number])
        if not found:
            raise absent()
        return user, found[0]

    async def _together(
        self, credential: Credential, batches: Sequence[Sequence[int]]
    ) -> list[list[Project]]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._in_turn(credential, batch)) for batch in batches]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result()[1] for task in tasks]

    async def _in_turn(
        self, credential: Credential, ids: Sequence[int]
    ) -> tuple[User, list[Project]]:
        async with self._places:
            return await self._batch(credential, ids)

    async def _batch(
        self, credential: Credential, ids: Sequence[int]
    ) -> tuple[User, list[Project]]:
        if not ids:
            return await self._none(credential)
        gids = [f"gid://gitlab/Project/{number}" for number in ids]
        page = await self._api.query(PROJECTS, credential, _PROJECTS, ids=gids)
        if page.user is None or not page.sound:
            return await self._batch_by_rest(credential, ids, page)
        found = answers.graphql_projects(page.data)
        return page.user, [project for project in found if project.id in ids]

    async def _none(self, credential: Credential) -> tuple[User, list[Project]]:
        """Prove the caller and ask for no projects: an empty list of ids could mean all."""
        page = await self._api.query(USER, credential, _USER)
        return page.user or await self._api.user(credential), []

    async def _batch_by_rest(
        self, credential: Credential, ids: Sequence[int], page: Page
    ) -> tuple[User, list[Project]]:
        user = page.user or await self._api.user(credential)
        found = []
        for number in ids:
            try:
                project = await self._api.project(credential, number)
            except NotFound:
                continue
            if isinstance(project, int) or project.id != number:
                raise unreadable()
            found.append(await self._with_level(credential, user, project))
        return user, found

    async def _with_level(self, credential: Credential, user: User, project: Project) -> Project:
        """Return the project with the effective level, shares and ancestors included.

        A definite answer overrules the project's `permissions`, in which older GitLabs count
        pending access requests.
        """
        answer = await self._api.member(credential, project.id, user)
        match answer.status, answer.body:
            case HTTPStatus.OK, body:
                return replace(project, level=answers.rest_level(body))
            case HTTPStatus.NOT_FOUND, _:
                return replace(project, level=0)
            case HTTPStatus.FORBIDDEN, {"error": "insufficient_granular_scope"}:
                # The token may see the project and not its members; GitLabs that have such tokens
                # count no requests.
                return project
            case _:
                raise refusal_of(answer)

    async def _personal_reach(self, credential: Credential) -> Reach | None:
        answer = await self._api.personal_token(credential)
        return answers.personal_reach(answer.body) if _describes(answer) else None

    async def _oauth_reach(self, credential: Credential) -> Reach | None:
        answer = await self._api.oauth_token(credential)
        return answers.oauth_reach(answer.body, now=self._wall()) if _describes(answer) else None


def _asked(project: Project, path: str) -> Project:
    """Refuse any project but the asked one; GitLab ignores the case of a path."""
    if project.path.lower() != path.lower():
        raise unreadable()
    return project


def _describes(answer: Answer) -> bool:
    """Say whether GitLab described the token.

    Each of the two ways refuses the other's tokens, and GitLab may forbid a fine-grained one both.
    """
    if answer.status in range(HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR):
        return False
    if answer.status != HTTPStatus.OK:
        raise unreadable()
    return True
