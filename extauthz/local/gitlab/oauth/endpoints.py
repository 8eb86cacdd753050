"""What programs call: discovery, keys, tokens and userinfo."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from extauthz.local.gitlab.caller import bearer_of
from extauthz.local.gitlab.entities import oauth_token_entity
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.browser import form_of
from extauthz.local.gitlab.oauth.claims import id_token_claims, userinfo_claims
from extauthz.local.gitlab.oauth.client import client_of
from extauthz.local.gitlab.oauth.discovery import discovery_document
from extauthz.local.gitlab.oauth.errors import OAuthError, missing
from extauthz.local.gitlab.oauth.issuing import note_use, redeem, refresh
from extauthz.local.gitlab.oauth.keys import Purpose
from extauthz.local.gitlab.oauth.records import Issued
from extauthz.local.gitlab.oauth.tampering import tampered
from extauthz.local.gitlab.records import State, Token, TokenKind
from extauthz.local.gitlab.site import Site

_GRANTS = MappingProxyType({"authorization_code": redeem, "refresh_token": refresh})
_NO_STORE = MappingProxyType({"Cache-Control": "no-store", "Pragma": "no-cache"})
_Endpoint = Callable[[web.Request], Awaitable[web.Response]]


class Endpoints:
    """OAuth 2.0 and OpenID Connect, but for the pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [
            web.get("/.well-known/openid-configuration", self.discovery),
            web.get("/oauth/discovery/keys", self.keys),
            web.post("/oauth/token", _refusing(self.token)),
            web.post("/oauth/revoke", _refusing(self.revoke)),
            web.post("/oauth/introspect", _refusing(self.introspect)),
            web.get("/oauth/userinfo", _refusing(self.userinfo)),
            web.post("/oauth/userinfo", _refusing(self.userinfo)),
            web.get("/oauth/token/info", self.token_info),
        ]

    async def discovery(self, request: web.Request) -> web.Response:
        """Say where everything is."""
        document = discovery_document(request.url.origin())
        return web.json_response(tampered(document, self._instance.oauth.tampering.discovery))

    async def keys(self, _request: web.Request) -> web.Response:
        """Return the JWKS."""
        return web.json_response({"keys": self._instance.oauth.keys.published()})

    async def token(self, request: web.Request) -> web.Response:
        """Exchange a code or a refresh token."""
        form = await form_of(request)
        if not form.get("grant_type"):
            raise missing("grant_type")
        if form["grant_type"] not in _GRANTS:
            raise OAuthError("unsupported_grant_type")
        client = client_of(self._instance.oauth, request.headers, form)
        issued = _GRANTS[form["grant_type"]](self._instance, client, form)
        body = tampered(
            self._token_response(request, issued), self._instance.oauth.tampering.token_response
        )
        return web.json_response(body, headers=_NO_STORE)

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke an access or a refresh token, and with it the other one of the pair.

        A token that nobody knows is no error (RFC 7009, 2.2).
        """
        form = await form_of(request)
        client = client_of(self._instance.oauth, request.headers, form)
        issued = self._instance.oauth.behind(form.get("token", ""))
        if issued and issued.client_id != client.client_id:
            raise OAuthError("unauthorized_client")
        if issued:
            self._instance.update_token(issued.access_token, revoked=True)
        return web.json_response({})

    async def introspect(self, request: web.Request) -> web.Response:
        """Describe a token to the application it was issued to (RFC 7662)."""
        form = await form_of(request)
        client = client_of(self._instance.oauth, request.headers, form)
        issued = self._instance.oauth.behind(form.get("token", ""))
        if issued is None or issued.client_id != client.client_id:
            return web.json_response({"active": False})
        return web.json_response(_introspected(self._instance.tokens[issued.access_token], issued))

    async def userinfo(self, request: web.Request) -> web.Response:
        """Return the claims of the user whose access token it is."""
        form = await form_of(request)
        secret = bearer_of(request.headers) or form.get("access_token", "")
        token = self._usable(secret)
        if "openid" not in token.scopes:
            raise OAuthError("insufficient_scope")
        user = self._instance.users[token.user_id]
        if user.state is not State.ACTIVE:
            raise OAuthError("invalid_token", "The access token is invalid")
        note_use(self._instance, secret)
        claims = userinfo_claims(self._instance, user, token.scopes, request.url.origin())
        return web.json_response(tampered(claims, self._instance.oauth.tampering.userinfo))

    async def token_info(self, request: web.Request) -> web.Response:
        """Return the OAuth token of the request; it knows no other kind, and asks of no account."""
        secret = bearer_of(request.headers)
        try:
            token = self._usable(secret)
        except OAuthError as error:
            return web.json_response({**error.fields(), "state": "unauthorized"}, status=401)
        note_use(self._instance, secret)
        issued = self._instance.oauth.issued.get(secret)
        return web.json_response(oauth_token_entity(token, issued.client_id if issued else "demo"))

    @property
    def _instance(self) -> Instance:
        return self._site.instance

    def _usable(self, secret: str) -> Token:
        token = self._instance.tokens.get(secret)
        if token is None or token.kind is not TokenKind.OAUTH:
            raise OAuthError("invalid_token", "The access token is invalid")
        if token.revoked:
            raise OAuthError("invalid_token", "The access token was revoked")
        if token.expired:
            raise OAuthError("invalid_token", "The access token expired")
        return token

    def _token_response(self, request: web.Request, issued: Issued) -> Mapping[str, Any]:
        token = self._instance.tokens[issued.access_token]
        oauth = self._instance.oauth
        body = {
            "access_token": issued.access_token,
            "token_type": "Bearer",
            "expires_in": oauth.tampering.access_token_lifetime,
            "refresh_token": issued.refresh_token,
            "scope": " ".join(token.scopes),
            "created_at": int(token.created.timestamp()),
        }
        if "openid" not in token.scopes:
            return body
        claims = id_token_claims(self._instance, issued, request.url.origin())
        return {**body, "id_token": oauth.keys.sign(Purpose.LOGIN, claims, oauth.tampering)}


def _refusing(endpoint: _Endpoint) -> _Endpoint:
    """Return the endpoint with its OAuthErrors answered."""

    async def answered(request: web.Request) -> web.Response:
        try:
            return await endpoint(request)
        except OAuthError as error:
            return error.answer()

    return answered


def _introspected(token: Token, issued: Issued) -> dict[str, Any]:
    if token.revoked or token.expired or token.expires is None:
        return {"active": False}
    return {
        "active": True,
        "scope": " ".join(token.scopes),
        "client_id": issued.client_id,
        "token_type": "Bearer",
        "exp": int(token.expires.timestamp()),
        "iat": int(token.created.timestamp()),
    }
