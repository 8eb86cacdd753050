"""Access of CI jobs decided against a demo GitLab, on clocks that the test moves."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from extauthz.edge.access import ProjectAccess
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.job_access import JobAccess
from extauthz.edge.jwks import SigningKeys
from extauthz.edge.policy import Policy
from extauthz.edge.refusals import Refusal
from tests.access import SECRET, Clock, settled
from tests.acme import PATH
from tests.gitlab import GitLab
from tests.upstream import asking

AUDIENCE = "https://mlflow.example.org"
FACTS = "currentUser,project"


@dataclass(frozen=True)
class World:
    """The edge's access side for jobs, and the GitLab that it asks."""

    access: JobAccess
    gitlab: GitLab
    clock: Clock
    wall: Clock
    service_token: str

    async def in_project(self, token: str, path: str = PATH) -> ProjectAccess:
        """Return the access to a project, at once or after a while."""
        return await settled(self.access.in_project(credential(token), path))

    def known(self, token: str, path: str = PATH) -> ProjectAccess:
        """Return the access to a project, which must not need waiting for."""
        access = self.access.in_project(credential(token), path)
        assert isinstance(access, ProjectAccess)
        return access

    async def refusal(self, token: str, kind: type[Refusal], path: str = PATH) -> str:
        """Return the message of a refusal."""
        with pytest.raises(kind) as caught:
            await self.in_project(token, path)
        assert token not in str(caught.value)
        return str(caught.value)

    def pass_by(self, seconds: float) -> None:
        """Let time pass on all clocks but GitLab's."""
        self.clock.pass_by(seconds)
        self.wall.pass_by(seconds)


@asynccontextmanager
async def deciding(
    gitlab: GitLab,
    *,
    policy: Policy | None = None,
    service_token: str | None = None,
    fresh: float = 30,
    stale: float = 600,
) -> AsyncIterator[World]:
    """Decide about jobs as the edge does, on clocks that the test moves."""
    wall = Clock(time.time())
    service_token = service_token or gitlab.token("service", scopes=["read_api"])
    async with asking(gitlab.url) as upstream:
        clock = upstream.clock
        keys = SigningKeys(upstream.upstream, clock=clock)
        access = JobAccess(
            Provider(upstream.upstream),
            keys,
            issuer=gitlab.url,
            audience=AUDIENCE,
            service_token=SecretStr(service_token),
            policy=policy or Policy(),
            fingerprints=Fingerprints(SECRET, gitlab.url),
            lifetimes=Lifetimes(fresh=fresh, stale=stale),
            clock=clock,
            wall=wall,
        )
        yield World(access, gitlab, clock, wall, service_token)
        await access.close()
        await keys.close()


def credential(token: str) -> Credential:
    """Return the credential that a job's token is."""
    return Credential(Kind.JOB, SecretStr(token))


def minted(gitlab: GitLab, path: str = PATH, user: str = "ann", /, **overrides: Any) -> str:
    """Return the token of a job of a project, started by a user."""
    return gitlab.mint_id_token(path, user, AUDIENCE, **overrides)
