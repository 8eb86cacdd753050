"""Access of CI jobs: proven by GitLab's signature, each in its own project.

The token tells everything but the project's topics and whether it is archived. GitLab is asked for
these with the operator's token, once for all jobs of a project.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NoReturn

import structlog
from pydantic import SecretStr

from extauthz.edge.access import ProjectAccess
from extauthz.edge.access_cache import AccessCache, Clock, Lifetimes, Observer, Unobserved
from extauthz.edge.cache import Cache
from extauthz.edge.callers import Callers
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.job_claims import HOW_TO, Job, job_of
from extauthz.edge.jwks import BadToken, SigningKeys
from extauthz.edge.policy import Policy, Verdict, absent, verdict_on
from extauthz.edge.provider import Asker, Project, Provider
from extauthz.edge.refusals import Forbidden, NotFound, Unauthenticated, Unavailable
from extauthz.grant import Why
from extauthz.levels import Role, role_of

_MOST_TOKENS: Final = 20_000
_MOST_PROJECTS: Final = 20_000
# A token proves the same job wherever it is used.
_ANYWHERE: Final = "*"


@dataclass(frozen=True, slots=True, eq=False)
class _Facts:
    """What GitLab tells of a project, now or, if stale, before an outage."""

    project: Project
    stale: bool = False


class JobAccess:
    """Decides what a CI job may do: what its user may, in its project and nowhere else."""

    def __init__(
        self,
        provider: Provider,
        keys: SigningKeys,
        *,
        issuer: str,
        audience: str,
        service_token: SecretStr,
        policy: Policy,
        fingerprints: Fingerprints,
        lifetimes: Lifetimes,
        observer: Observer | None = None,
        clock: Clock = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._service = Credential(Kind.TOKEN, service_token)
        self._service_name = fingerprints.of(self._service)
        self._policy = policy
        self._fingerprints = fingerprints
        self._clock = clock
        self._wall = wall
        callers, observer = Callers(clock=clock), observer or Unobserved()
        self._jobs: AccessCache[Job] = AccessCache(
            _MOST_TOKENS,
            name="job",
            callers=callers,
            lifetimes=lifetimes,
            # In an outage the job is still the same, and its project's facts are stale.
            weaken=lambda job: job,
            observer=observer,
            clock=clock,
        )
        self._facts: AccessCache[_Facts] = AccessCache(
            _MOST_PROJECTS,
            name="job_project",
            callers=callers,
            lifetimes=lifetimes,
            weaken=_stale,
            observer=observer,
            clock=clock,
        )
        self._accesses: Cache[bytes, tuple[_Facts, ProjectAccess]] = Cache(
            _MOST_TOKENS, clock=clock
        )
        self._log = structlog.get_logger("extauthz.jobs")

    def in_project(
        self, credential: Credential, path: str
    ) -> ProjectAccess | Awaitable[ProjectAccess]:
        """Return the job's access to the project at a path, at once if it is known.

        Raises Unauthenticated, Forbidden, NotFound or Unavailable.
        """
        who = self._fingerprints.of(credential)
        job = self._jobs.look_up(who, _ANYWHERE, partial(self._prove, credential))
        if isinstance(job, Job):
            return self._of_job(who, job, path)
        return self._of_job_later(who, job, path)

    def everywhere(self, credential: Credential) -> NoReturn:  # noqa: ARG002 - whoever asks
        """Refuse: a job has one project."""
        raise Forbidden(
            "A CI token works in the view of its own project only. Let MLFLOW_TRACKING_URI end "
            "with /$CI_PROJECT_PATH/tracking"
        )

    async def close(self) -> None:
        """End the questions under way; those for keys belong to the keys."""
        await self._jobs.close()
        await self._facts.close()

    async def _prove(self, credential: Credential) -> tuple[Job, float]:
        try:
            claims = await self._keys.verified(credential.secret.get_secret_value())
        except BadToken as bad:
            raise Unauthenticated(f"{bad} {HOW_TO}") from None
        job = job_of(claims, issuer=self._issuer, audience=self._audience, now=self._wall())
        return job, self._end(job)

    async def _of_job_later(self, who: bytes, job: Awaitable[Job], path: str) -> ProjectAccess:
        access = self._of_job(who, await job, path)
        return await access if isinstance(access, Awaitable) else access

    def _of_job(self, who: bytes, job: Job, path: str) -> ProjectAccess | Awaitable[ProjectAccess]:
        # GitLab ignores the case of a path.
        place = job.project_path.lower()
        if place != path.lower() or role_of(job.level) is None:
            raise absent()
        with _ours_to_solve():
            facts = self._facts.look_up(self._service_name, place, partial(self._ask, job))
        if isinstance(facts, _Facts):
            return self._access(who, job, facts)
        return self._access_later(who, job, facts)

    async def _ask(self, job: Job) -> tuple[_Facts, float]:
        # Nobody has made this token up, so it does not wait with those that are.
        asker = Asker(self._service, self._service_name, proven=True)
        try:
            _user, project = await self._provider.project(asker, job.project_path)
        except (Unauthenticated, Forbidden) as refusal:
            self._log.error("job.service_token_refused", cause=refusal.message)
            raise
        except NotFound as refusal:
            # The project exists: its job is proven.
            self._log.warning(
                "job.project_not_shown", project=job.project_id, cause=refusal.message
            )
            raise absent() from None
        return _Facts(project), float("inf")

    async def _access_later(self, who: bytes, job: Job, facts: Awaitable[_Facts]) -> ProjectAccess:
        with _ours_to_solve():
            known = await facts
        return self._access(who, job, known)

    def _access(self, who: bytes, job: Job, facts: _Facts) -> ProjectAccess:
        """Return the same object for as long as the facts are the same."""
        kept = self._accesses.get(who)
        if kept is not None and kept[0] is facts:
            return kept[1]
        access = self._decided(job, facts)
        self._accesses.put(who, (facts, access), until=self._end(job))
        return access

    def _decided(self, job: Job, facts: _Facts) -> ProjectAccess:
        project = facts.project
        verdict = verdict_on(replace(project, level=job.level), self._policy)
        # The id too: another project may have taken the path since the job began.
        if verdict is None or project.id != job.project_id:
            raise absent()
        if facts.stale and verdict.role is Role.WRITE:
            verdict = Verdict(Role.READ, Why.STALE)
        return ProjectAccess(job.user, project.id, project.path, verdict.role, verdict.why)

    def _end(self, job: Job) -> float:
        """Return the time of our clock at which a token ends."""
        return self._clock() + job.ends - self._wall()


@contextmanager
def _ours_to_solve() -> Iterator[None]:
    """Keep from the caller that GitLab refuses a token that is not his."""
    try:
        yield
    except (Unauthenticated, Forbidden):
        raise Unavailable(
            "GitLab refuses this server's own token, without which no CI job can be checked. Tell "
            "the administrator."
        ) from None


def _stale(facts: _Facts) -> _Facts:
    return replace(facts, stale=True)
