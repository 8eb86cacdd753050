"""GitLab as the provider: one GraphQL call per question, REST where GraphQL has no answer."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from extauthz.edge import gitlab_answers as answers
from extauthz.edge.gitlab_answers import Page, unreadable
from extauthz.edge.gitlab_api import GitLabApi, refusal_of
from extauthz.edge.operations import Operation
from extauthz.edge.policy import absent
from extauthz.edge.provider import Asker, Project, Reach, User
from extauthz.edge.refusals import NotFound
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Answer, Upstream

# GitLab bounds the complexity of a query; 25 projects stay well below it.
BATCH: Final = 25
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

    async def project(self, asker: Asker, path: str) -> tuple[User, Project]:
        """Return the caller and the project at a path; an old path leads to the moved project."""
        page = await self._api.query(Operation.PROJECT, asker, _PROJECT, path=path)
        node = page.data.get("project")
        if page.user is None or node is None:
            return await self._project_by_rest(asker, path, page)
        return page.user, _asked(answers.graphql_project(node), path)

    async def projects(self, asker: Asker, ids: Sequence[int]) -> tuple[User, Sequence[Project]]:
        """Return the caller and those of the projects he can see: all batches, or an error."""
        batches = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        # The first goes alone: a token that is no good should cost one call, not all of them.
        user, found = await self._batch(asker, batches[0] if batches else ())
        return user, found + await self._together(asker, batches[1:])

    async def reach(self, asker: Asker) -> Reach:
        """Return what the token allows; one that GitLab does not describe only reads."""
        describers = [self._personal_reach, self._oauth_reach]
        if _OAUTH_TOKEN.fullmatch(asker.credential.secret.get_secret_value()):
            describers.reverse()
        for describe in describers:
            if (reach := await describe(asker)) is not None:
                return reach
        return Reach(writes=False, described=False)

    async def _project_by_rest(self, asker: Asker, path: str, page: Page) -> tuple[User, Project]:
        """Ask again where GraphQL said nothing.

        It follows no moves, tells fine-grained tokens no level, and knows none before 16.9.
        """
        user = page.user or await self._api.user(asker)
        project = await self._api.project(asker, path)
        if isinstance(project, int):
            return await self._moved(asker, project)
        return user, await self._with_level(asker, user, _asked(project, path))

    async def _moved(self, asker: Asker, number: int) -> tuple[User, Project]:
        user, found = await self._batch(asker, [number])
        if not found:
            raise absent()
        return user, found[0]

    async def _together(self, asker: Asker, batches: Sequence[Sequence[int]]) -> list[Project]:
        """Ask no more at once than there are slots: no view waits in line for itself."""
        left = iter(batches)
        try:
            async with asyncio.TaskGroup() as group:
                lanes = [
                    group.create_task(self._one_by_one(asker, left))
                    for _ in range(min(len(batches), Line.VIEWS.slots))
                ]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [project for lane in lanes for project in lane.result()]

    async def _one_by_one(self, asker: Asker, batches: Iterator[Sequence[int]]) -> list[Project]:
        found = []
        for batch in batches:
            found += (await self._batch(asker, batch))[1]
        return found

    async def _batch(self, asker: Asker, ids: Sequence[int]) -> tuple[User, list[Project]]:
        if not ids:
            return await self._none(asker)
        gids = [f"gid://gitlab/Project/{number}" for number in ids]
        page = await self._api.query(Operation.PROJECTS, asker, _PROJECTS, ids=gids)
        if page.user is None or not page.sound:
            return await self._batch_by_rest(asker, ids, page)
        found = answers.graphql_projects(page.data)
        return page.user, [project for project in found if project.id in ids]

    async def _none(self, asker: Asker) -> tuple[User, list[Project]]:
        """Prove the caller and ask for no projects: an empty list of ids could mean all."""
        page = await self._api.query(Operation.USER, asker, _USER)
        return page.user or await self._api.user(asker), []

    async def _batch_by_rest(
        self, asker: Asker, ids: Sequence[int], page: Page
    ) -> tuple[User, list[Project]]:
        user = page.user or await self._api.user(asker)
        found = []
        for number in ids:
            try:
                project = await self._api.project(asker, number)
            except NotFound:
                continue
            if isinstance(project, int) or project.id != number:
                raise unreadable()
            found.append(await self._with_level(asker, user, project))
        return user, found

    async def _with_level(self, asker: Asker, user: User, project: Project) -> Project:
        """Return the project with the effective level, shares and ancestors included.

        A definite answer overrules the project's `permissions`, in which older GitLabs count
        pending access requests.
        """
        answer = await self._api.member(asker, project.id, user)
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

    async def _personal_reach(self, asker: Asker) -> Reach | None:
        answer = await self._api.personal_token(asker)
        return answers.personal_reach(answer.body) if _describes(answer) else None

    async def _oauth_reach(self, asker: Asker) -> Reach | None:
        answer = await self._api.oauth_token(asker)
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
