"""The assembly: from the settings to everything that decides about access."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from extauthz.edge.access import AccessControl
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.cache import Fingerprints
from extauthz.edge.gitlab import GitLab
from extauthz.edge.mlflow import OwnedProjects
from extauthz.edge.policy import Policy
from extauthz.edge.settings import Settings
from extauthz.edge.upstream import Observer, Upstream, open_session
from extauthz.grant import GrantSigner


@asynccontextmanager
async def open_access(
    settings: Settings, *, signer: GrantSigner, observer: Observer
) -> AsyncIterator[AccessControl]:
    """Open the connections to GitLab and MLflow and decide with them until the end."""
    async with open_session() as session:
        gitlab = Upstream(session, settings.gitlab_url, name="GitLab", observer=observer)
        mlflow = Upstream(session, settings.mlflow_url, name="MLflow", observer=observer)
        owned = OwnedProjects(
            mlflow,
            signer,
            instance=settings.instance,
            seconds_fresh=settings.project_cache_timeout,
        )
        access = AccessControl(
            GitLab(gitlab),
            owned,
            policy=Policy(
                mandatory_topics=frozenset(settings.gitlab_mandatory_topics),
                visitors_read=settings.visitor_access == "read",
            ),
            fingerprints=Fingerprints(settings.secret_key, settings.provider_url),
            lifetimes=Lifetimes(
                fresh=settings.project_cache_timeout, stale=settings.stale_if_error
            ),
        )
        try:
            yield access
        finally:
            await access.close()
            await owned.close()
