"""GitLab as a provider, before a demo GitLab in which `ann` is nobody's member yet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from extauthz.edge.gitlab import GitLab as Provider
from extauthz.edge.provider import User
from tests.access import asker
from tests.acme import PATH, acme
from tests.gitlab import GitLab
from tests.upstream import asking

ANN: Final = User("gitlab:1", "ann")
ESCAPED: Final = "acme%2Fvision%2Fdetector"
ONE_CALL: Final = ["currentUser,project"]
# What it takes where GraphQL resolves the caller and not the project.
BY_REST: Final = [*ONE_CALL, f"/api/v4/projects/{ESCAPED}", "/api/v4/projects/1/members/all/1"]
FINE_GRAINED: Final = ("Project: Read", "User: Read", "Member: Read")


def anns(gitlab: GitLab) -> GitLab:
    """Make a GitLab new, with a user `ann` and private projects; returns it."""
    acme(gitlab).create_user("ann")
    return gitlab


@asynccontextmanager
async def providing(gitlab: GitLab) -> AsyncIterator[Provider]:
    """Ask a GitLab."""
    async with asking(gitlab.url) as upstream:
        yield Provider(upstream.upstream)


async def level_of(provider: Provider, token: str, path: str = PATH) -> int:
    """Return the level that the caller has in a project."""
    return (await provider.project(asker(token), path))[1].level
