"""Access in GitLab mode: by token, by the session of a login, or by the id_token of a CI job."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from extauthz.edge.access import AccessControl, Directory, GlobalAccess, ProjectAccess
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.flights import fresh
from extauthz.edge.in_session import Answered, InSession, Looked
from extauthz.edge.job_access import JobAccess
from extauthz.edge.refusals import Forbidden, Refusal, Unauthenticated
from extauthz.edge.sessions import Held, Sessions

A = TypeVar("A", ProjectAccess, GlobalAccess, Directory)
LookUp: TypeAlias = Callable[[Credential], A | Awaitable[A]]


class GitLabAccess:
    """Looks up access by whatever stands for a GitLab user."""

    def __init__(
        self, access: AccessControl, *, sessions: Sessions | None, jobs: JobAccess | None
    ) -> None:
        self._access = access
        self._sessions = sessions
        self._jobs = jobs

    def in_project(self, credential: Credential, path: str) -> Looked[ProjectAccess]:
        """Return the caller's access to a project, at once if it is known; raises a Refusal."""
        if credential.kind is Kind.JOB and self._jobs is not None:
            return self._jobs.in_project(credential, path)
        return self._look_up(credential, lambda who: self._access.in_project(who, path))

    def by_number(self, credential: Credential, number: int) -> Looked[ProjectAccess]:
        """Return the caller's access to the project with an id; raises a Refusal."""
        return self._look_up(credential, lambda who: self._access.by_number(who, number))

    def everywhere(self, credential: Credential) -> Looked[GlobalAccess]:
        """Return what the caller may read, at once if it is known; raises a Refusal."""
        if credential.kind is Kind.JOB and self._jobs is not None:
            return self._jobs.everywhere(credential)
        return self._look_up(credential, self._access.everywhere)

    def directory(self, credential: Credential) -> Looked[Directory]:
        """Return the projects the caller may read, with their paths; raises a Refusal."""
        return self._look_up(credential, self._access.directory)

    def forget(self, credential: Credential) -> None:
        """Forget everything about a credential that has ended."""
        self._access.forget(credential)

    def _look_up(self, credential: Credential, look_up: LookUp[A]) -> Looked[A]:
        match credential.kind:
            case Kind.TOKEN:
                return look_up(credential)
            case Kind.SESSION if self._sessions is not None:
                cookie = credential.secret.get_secret_value()
                return self._in_session(self._sessions, cookie, look_up)
        raise Forbidden("This works with a session or a GitLab token only.")

    def _in_session(self, sessions: Sessions, cookie: str, look_up: LookUp[A]) -> Looked[A]:
        held = sessions.resume(cookie)
        if not isinstance(held, Held) or held.cookies:
            return self._later(sessions, cookie, held, look_up)
        try:
            access = look_up(held.credential)
        except Unauthenticated:
            return self._later(sessions, cookie, held, look_up)
        if isinstance(access, Awaitable):
            return self._later(sessions, cookie, held, look_up, access)
        return _of_its_user(access, held)

    async def _later(
        self,
        sessions: Sessions,
        cookie: str,
        pending: Held | Awaitable[Held],
        look_up: LookUp[A],
        asked: Awaitable[A] | None = None,
    ) -> Answered[A]:
        held = await pending if isinstance(pending, Awaitable) else pending
        try:
            try:
                access = await (asked or _asked(look_up, held))
            except Unauthenticated:
                # Whoever refreshes a session ends the tokens that others were still asking with.
                newer = await sessions.renewed(cookie, held)
                if newer is None:
                    raise
                held = newer
                access = await _asked(look_up, held)
            return _of_its_user(access, held)
        except Refusal as refusal:
            raise _with_cookies(refusal, held) from None


async def _asked(look_up: LookUp[A], held: Held) -> A:
    access = look_up(held.credential)
    return await access if isinstance(access, Awaitable) else access


def _of_its_user(access: A, held: Held) -> Answered[A]:
    """Refuse tokens that have become somebody else's."""
    if access.user.subject != held.session.user.subject:
        raise Unauthenticated("Your session is not yours any more. Sign in again.")
    return InSession(access, held.cookies) if held.cookies else access


def _with_cookies(refusal: Refusal, held: Held) -> Refusal:
    """Return a refusal after which the browser still knows its session."""
    answer = fresh(refusal)
    answer.cookies = (*answer.cookies, *held.cookies)
    return answer
