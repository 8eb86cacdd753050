"""GitLab, asked which projects paths mean; it remembers where projects have moved to."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeVar

from pydantic import SecretStr

from extauthz.edge.credentials import token_credential
from extauthz.edge.gitlab import GitLab
from extauthz.edge.operations import Called, Operation
from extauthz.edge.outage import Throttled
from extauthz.edge.provider import Asker
from extauthz.edge.refusals import NotFound, Refusal, Unavailable
from extauthz.edge.upstream import Upstream, open_session
from extauthz.migrate.errors import Failed
from extauthz.migrate.projects import Project

# Nobody waits at a browser, so GitLab may take its time; in seconds.
_TIMEOUT: Final = 30.0
_ATTEMPTS: Final = 5

T = TypeVar("T")


class Asked:
    """Asks GitLab with a token that sees the projects."""

    def __init__(self, url: str, token: SecretStr) -> None:
        self._url = url
        self._token = token

    def projects(self, paths: Iterable[str]) -> Mapping[str, Project]:
        """Return those that GitLab knows; what is hidden from the token is not told from the rest.

        Raises Failed where GitLab has no definite answer for one of them.
        """
        return asyncio.run(self._projects(sorted(paths)))

    async def _projects(self, paths: Iterable[str]) -> dict[str, Project]:
        async with open_session() as session:
            upstream = Upstream(
                session, self._url, name="GitLab", observer=_Nobody(), timeout=_TIMEOUT
            )
            try:
                asker = Asker(token_credential(self._token.get_secret_value()), b"migrate")
                gitlab = GitLab(upstream)
                # A bad token is told from projects that are not there.
                await _patiently(partial(gitlab.projects, asker, []))
                found = {path: await _project(gitlab, asker, path) for path in paths}
            except Refusal as refusal:
                raise Failed(f"GitLab was asked for the projects: {refusal.message}") from None
        return {path: project for path, project in found.items() if project is not None}


async def _project(gitlab: GitLab, asker: Asker, path: str) -> Project | None:
    try:
        _, project = await _patiently(partial(gitlab.project, asker, path))
    except NotFound:
        return None
    return Project(project.id, project.path)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again where GitLab had trouble; limits are waited for as long as it says."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await ask()
        except Unavailable as trouble:
            await asyncio.sleep(trouble.retry_after if isinstance(trouble, Throttled) else 1)
    return await ask()


class _Nobody:
    """Is told of the calls, and keeps nothing."""

    def server_added(self, server: str, is_down: Callable[[], bool]) -> None:
        """Take no note."""

    def provider_call(self, operation: Operation, outcome: Called, seconds: float) -> None:
        """Take no note."""

    def provider_retry(self, operation: Operation) -> None:
        """Take no note."""
