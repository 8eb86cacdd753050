"""The assembly: from the settings to everything that decides about access."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from aiohttp import ClientSession

from extauthz.edge.access import AccessControl
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.cache import Fingerprints
from extauthz.edge.check import CredentialOf
from extauthz.edge.credentials import gitlab_credential, sharinghub_credential
from extauthz.edge.gitlab import GitLab
from extauthz.edge.login import Login, NoLogin
from extauthz.edge.mlflow import OwnedProjects
from extauthz.edge.policy import Policy
from extauthz.edge.provider import Provider
from extauthz.edge.settings import Settings
from extauthz.edge.sharinghub import SharingHub
from extauthz.edge.sharinghub_access import SharingHubAccess
from extauthz.edge.sharinghub_login import SharingHubLogin
from extauthz.edge.upstream import Observer, Upstream, open_session
from extauthz.grant import GrantSigner

# In seconds. A session and an access are asked for in turn: with both, a SharingHub that hangs must
# leave time for an answer before Envoy gives up.
_SHARINGHUB_TIMEOUT: Final = 2.0

AnyAccess = AccessControl | SharingHubAccess


@asynccontextmanager
async def open_access(
    settings: Settings, *, signer: GrantSigner, observer: Observer
) -> AsyncIterator[AnyAccess]:
    """Open the connections to the provider and MLflow and decide with them until the end."""
    async with open_session() as session:
        owned = OwnedProjects(
            Upstream(session, settings.mlflow_url, name="MLflow", observer=observer),
            signer,
            instance=settings.instance,
            seconds_fresh=settings.project_cache_timeout,
        )
        if settings.sharinghub_url:
            access = _sharinghub(settings, owned, session, observer)
        else:
            access = _gitlab(settings, owned, session, observer)
        try:
            yield access
        finally:
            await access.close()
            await owned.close()


def credential_reader(settings: Settings) -> CredentialOf:
    """Return how the credential of a request is found."""
    if settings.sharinghub_url:
        return partial(sharinghub_credential, session_cookie=settings.sharinghub_session_cookie)
    return gitlab_credential


def login_of(settings: Settings) -> Login:
    """Return where people sign in."""
    if settings.sharinghub_url:
        return SharingHubLogin(
            settings.sharinghub_url,
            settings.site,
            session_cookie=settings.sharinghub_session_cookie,
            automatic=settings.login_auto_redirect,
        )
    return NoLogin()


def _gitlab(
    settings: Settings, owned: OwnedProjects, session: ClientSession, observer: Observer
) -> AnyAccess:
    gitlab = Upstream(session, settings.gitlab_url, name="GitLab", observer=observer)
    policy = Policy(
        mandatory_topics=frozenset(settings.gitlab_mandatory_topics),
        visitors_read=settings.visitor_access == "read",
    )
    return _control(settings, GitLab(gitlab), owned, policy)


def _sharinghub(
    settings: Settings, owned: OwnedProjects, session: ClientSession, observer: Observer
) -> AnyAccess:
    upstream = Upstream(
        session,
        settings.sharinghub_url,
        name="SharingHub",
        observer=observer,
        timeout=_SHARINGHUB_TIMEOUT,
    )
    hub = SharingHub(
        upstream, _fingerprints(settings), session_cookie=settings.sharinghub_session_cookie
    )
    # SharingHub decides what visitors see.
    policy = Policy(
        mandatory_topics=frozenset({settings.sharinghub_stac_collection}), visitors_read=True
    )
    return SharingHubAccess(
        _control(settings, hub, owned, policy),
        hub,
        visitors=settings.sharinghub_auth_default_token,
        fingerprints=_fingerprints(settings),
        lifetimes=Lifetimes(
            fresh=settings.sharinghub_auth_cache_timeout, stale=settings.stale_if_error
        ),
    )


def _control(
    settings: Settings, provider: Provider, owned: OwnedProjects, policy: Policy
) -> AccessControl:
    return AccessControl(
        provider,
        owned,
        policy=policy,
        fingerprints=_fingerprints(settings),
        lifetimes=Lifetimes(fresh=settings.project_cache_timeout, stale=settings.stale_if_error),
    )


def _fingerprints(settings: Settings) -> Fingerprints:
    return Fingerprints(settings.secret_key, settings.provider_url)
