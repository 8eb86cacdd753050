"""The assembly: from the settings to everything that decides about access."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from aiohttp import ClientSession

from extauthz.edge import access_cache, pages, sessions, upstream
from extauthz.edge.access import AccessControl
from extauthz.edge.access_cache import Lifetimes
from extauthz.edge.check import Accesses, CredentialOf
from extauthz.edge.cookies import own_name
from extauthz.edge.credentials import SESSION_COOKIE, gitlab_credential, sharinghub_credential
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.gitlab import GitLab
from extauthz.edge.gitlab_access import GitLabAccess
from extauthz.edge.gitlab_login import GitLabLogin
from extauthz.edge.handshake import Handshakes
from extauthz.edge.job_access import JobAccess
from extauthz.edge.jwks import SigningKeys
from extauthz.edge.login import Login, NoLogin
from extauthz.edge.mlflow import OwnedProjects
from extauthz.edge.oidc import Client, Oidc
from extauthz.edge.pages import Pages
from extauthz.edge.policy import Policy
from extauthz.edge.provider import Provider
from extauthz.edge.seal import Seal
from extauthz.edge.session_store import CookieStore, SessionStore
from extauthz.edge.sessions import Sessions
from extauthz.edge.settings import Settings
from extauthz.edge.sharinghub import SharingHub
from extauthz.edge.sharinghub_access import SharingHubAccess
from extauthz.edge.sharinghub_login import SharingHubLogin
from extauthz.edge.upstream import Upstream, open_session
from extauthz.grant import GrantKey, GrantSigner, GrantVerifier

# In seconds. A session and an access are asked for in turn: with both, a SharingHub that hangs must
# leave time for an answer before Envoy gives up.
_SHARINGHUB_TIMEOUT: Final = 2.0
_CALLBACK: Final = "/auth/authorize"


class Observer(
    access_cache.Observer, pages.Observer, sessions.Observer, upstream.Observer, Protocol
):
    """Who is told of look-ups, calls, logins and sessions."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """What decides about access, and the pages where people sign in, if they do so here."""

    accesses: Accesses
    pages: Pages | None = None


@asynccontextmanager
async def open_access(
    settings: Settings, *, signer: GrantSigner, observer: Observer
) -> AsyncIterator[Deciding]:
    """Open the connections to the provider and MLflow and decide with them until the end."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_session())
        owned = OwnedProjects(
            Upstream(pool, settings.mlflow_url, name="MLflow", observer=observer),
            signer,
            instance=settings.instance,
            seconds_fresh=settings.project_cache_timeout,
        )
        stack.push_async_callback(owned.close)
        if settings.sharinghub_url:
            hub = _sharinghub(settings, owned, pool, observer)
            stack.push_async_callback(hub.close)
            yield Deciding(hub)
        else:
            single = await stack.enter_async_context(open_session(pooled=False))
            yield await _GitLabMode(settings, owned, pool, single, observer, stack).deciding()


def credential_reader(settings: Settings) -> CredentialOf:
    """Return how the credential of a request is found."""
    if settings.sharinghub_url:
        return partial(
            sharinghub_credential,
            session_cookie=settings.sharinghub_session_cookie,
            site=settings.site,
        )
    return partial(
        gitlab_credential,
        session_cookie=own_name(SESSION_COOKIE, settings.site) if settings.has_login else "",
        site=settings.site,
        audience=settings.ci_audience,
    )


def login_of(settings: Settings) -> Login:
    """Return where people sign in."""
    if settings.sharinghub_url:
        return SharingHubLogin(
            settings.sharinghub_url,
            settings.site,
            session_cookie=settings.sharinghub_session_cookie,
            automatic=settings.login_auto_redirect,
        )
    if settings.has_login:
        return GitLabLogin(settings.site, automatic=settings.login_auto_redirect)
    return NoLogin()


@dataclass(frozen=True, slots=True)
class _GitLabMode:
    """How the parts of GitLab mode are put together; `stack` closes them."""

    settings: Settings
    owned: OwnedProjects
    pool: ClientSession
    single: ClientSession
    observer: Observer
    stack: AsyncExitStack

    async def deciding(self) -> Deciding:
        settings = self.settings
        provider = GitLab(self._upstream(self.pool))
        policy = _gitlab_policy(settings)
        control = _control(settings, provider, self.owned, policy, self.observer)
        self.stack.push_async_callback(control.close)
        # Of its own, so that trouble with logins is not trouble with permissions.
        logins = self._upstream(self.single)
        keys = SigningKeys(logins)
        self.stack.push_async_callback(keys.close)
        jobs = self._jobs(provider, keys)
        if not settings.has_login:
            return Deciding(GitLabAccess(control, sessions=None, jobs=jobs))
        oidc = self._oidc(logins, keys)
        seal = _seal(settings)
        held = Sessions(_store(settings, seal), oidc, settings.site, self.observer)
        self.stack.push_async_callback(held.close)
        accesses = GitLabAccess(control, sessions=held, jobs=jobs)
        pages = Pages(
            site=settings.site,
            gitlab=settings.gitlab_url,
            oidc=oidc,
            handshakes=Handshakes(seal, settings.site),
            sessions=held,
            accesses=accesses,
            throttle=control.throttle,
            observer=self.observer,
            verifier=GrantVerifier([GrantKey(settings.grant_key)], instance=settings.instance),
        )
        return Deciding(accesses, pages)

    def _upstream(self, session: ClientSession) -> Upstream:
        return Upstream(session, self.settings.gitlab_url, name="GitLab", observer=self.observer)

    def _oidc(self, logins: Upstream, keys: SigningKeys) -> Oidc:
        settings = self.settings
        client = Client(
            settings.gitlab_oauth_client_id,
            settings.gitlab_oauth_client_secret,
            settings.gitlab_oauth_scopes,
            settings.site.view(None, _CALLBACK),
        )
        oidc = Oidc(logins, keys, client)
        self.stack.push_async_callback(oidc.close)
        return oidc

    def _jobs(self, provider: Provider, keys: SigningKeys) -> JobAccess | None:
        settings = self.settings
        if not settings.ci_audience:
            return None
        jobs = JobAccess(
            provider,
            keys,
            issuer=settings.gitlab_url,
            audience=settings.ci_audience,
            service_token=settings.gitlab_service_token,
            policy=_gitlab_policy(settings),
            fingerprints=_fingerprints(settings),
            lifetimes=_lifetimes(settings),
            observer=self.observer,
        )
        self.stack.push_async_callback(jobs.close)
        return jobs


def _gitlab_policy(settings: Settings) -> Policy:
    return Policy(
        mandatory_topics=frozenset(settings.gitlab_mandatory_topics),
        visitors_read=settings.visitor_access == "read",
    )


def _seal(settings: Settings) -> Seal:
    previous = settings.secret_key_previous
    return Seal([settings.secret_key, *([previous] if previous.get_secret_value() else [])])


def _store(settings: Settings, seal: Seal) -> SessionStore:
    idle = settings.permanent_session_lifetime
    if settings.session_store_url.get_secret_value():
        # Ten megabytes of modules that few need.
        from extauthz.edge.redis_store import RedisStore  # noqa: PLC0415

        return RedisStore(settings.session_store_url, seal, idle=idle)
    return CookieStore(seal, idle=idle)


def _sharinghub(
    settings: Settings, owned: OwnedProjects, session: ClientSession, observer: Observer
) -> SharingHubAccess:
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
        _control(settings, hub, owned, policy, observer),
        hub,
        visitors=settings.sharinghub_auth_default_token,
        fingerprints=_fingerprints(settings),
        lifetimes=Lifetimes(
            fresh=settings.sharinghub_auth_cache_timeout, stale=settings.stale_if_error
        ),
        observer=observer,
    )


def _control(
    settings: Settings,
    provider: Provider,
    owned: OwnedProjects,
    policy: Policy,
    observer: Observer,
) -> AccessControl:
    return AccessControl(
        provider,
        owned,
        policy=policy,
        fingerprints=_fingerprints(settings),
        lifetimes=_lifetimes(settings),
        observer=observer,
    )


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(fresh=settings.project_cache_timeout, stale=settings.stale_if_error)


def _fingerprints(settings: Settings) -> Fingerprints:
    return Fingerprints(settings.secret_key, settings.provider_url)
