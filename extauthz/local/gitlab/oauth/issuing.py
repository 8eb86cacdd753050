"""Codes and tokens: how they are made, exchanged, refreshed and revoked."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.errors import OAuthError, missing
from extauthz.local.gitlab.oauth.records import (
    Application,
    AuthorizationRequest,
    Code,
    Issued,
    SignIn,
)
from extauthz.local.gitlab.records import TokenKind


def grant_code(instance: Instance, request: AuthorizationRequest, sign_in: SignIn) -> str:
    """Return a new authorization code."""
    oauth = instance.oauth
    expires = datetime.now(UTC) + timedelta(seconds=oauth.tampering.code_lifetime)
    code = secrets.token_hex(32)
    oauth.codes[code] = Code(request, sign_in, expires)
    return code


def redeem(instance: Instance, client: Application, form: Mapping[str, str]) -> Issued:
    """Exchange an authorization code, which works once; raises OAuthError.

    A refused exchange leaves the code as it was, unless the refusal is that it is used up.
    """
    for name in ("code", "redirect_uri"):
        if not form.get(name):
            raise missing(name)
    code = instance.oauth.codes.get(form["code"])
    if code and code.request.challenge and not form.get("code_verifier"):
        raise missing("code_verifier")
    if code is None or code.expired or code.request.client_id != client.client_id:
        raise OAuthError("invalid_grant")
    if code.request.redirect_uri != form["redirect_uri"]:
        raise OAuthError("invalid_grant")
    if not _verifies(form.get("code_verifier", ""), code.request):
        raise OAuthError("invalid_grant")
    del instance.oauth.codes[form["code"]]
    issued = Issued(
        access_token=_access_token(instance, client, code.sign_in, code.request.scopes),
        refresh_token=secrets.token_hex(32),
        client_id=client.client_id,
        redirect_uri=code.request.redirect_uri,
        sign_in=code.sign_in,
        nonce=code.request.nonce,
    )
    instance.oauth.keep(issued)
    return issued


def refresh(instance: Instance, client: Application, form: Mapping[str, str]) -> Issued:
    """Exchange a refresh token, which works once, also after its access token expired.

    Both old tokens end with it (GitLab: OAuth 2.0 identity provider API); raises OAuthError.
    """
    if not form.get("refresh_token"):
        raise missing("refresh_token")
    old = instance.oauth.refreshed_by(form["refresh_token"])
    if old is None or old.client_id != client.client_id:
        raise OAuthError("invalid_grant")
    token = instance.tokens[old.access_token]
    if token.revoked or form.get("redirect_uri") != old.redirect_uri:
        raise OAuthError("invalid_grant")
    scopes = tuple(form.get("scope", "").split()) or token.scopes
    if not set(scopes) <= set(token.scopes):
        raise OAuthError("invalid_scope")
    if not instance.oauth.tampering.late_revocation:
        instance.update_token(old.access_token, revoked=True)
    issued = replace(
        old,
        access_token=_access_token(instance, client, old.sign_in, scopes),
        refresh_token=secrets.token_hex(32),
        nonce="",
        previous=old.access_token,
    )
    instance.oauth.keep(issued)
    return issued


def note_use(instance: Instance, access_token: str) -> None:
    """End the pair that a token was refreshed from, now that the token is used."""
    issued = instance.oauth.issued.get(access_token)
    if issued and issued.previous:
        instance.update_token(issued.previous, revoked=True)


def has_consent(instance: Instance, request: AuthorizationRequest, user_id: int) -> bool:
    """Return whether a user need not be asked (again).

    GitLab remembers a consent by a token for the same scopes that nobody revoked, expired or not:
    after a logout that revokes, it asks again.
    """
    if instance.oauth.applications[request.client_id].trusted:
        return True
    tokens = [
        instance.tokens[issued.access_token]
        for issued in instance.oauth.issued.values()
        if issued.client_id == request.client_id and issued.sign_in.user_id == user_id
    ]
    wanted = set(request.scopes)
    return any(not token.revoked and set(token.scopes) == wanted for token in tokens)


def _access_token(
    instance: Instance, client: Application, sign_in: SignIn, scopes: tuple[str, ...]
) -> str:
    token = instance.create_token(
        instance.users[sign_in.user_id].username,
        kind=TokenKind.OAUTH,
        scopes=scopes,
        expires_in=instance.oauth.tampering.access_token_lifetime,
        name=client.name,
    )
    return token.secret


def _verifies(verifier: str, request: AuthorizationRequest) -> bool:
    """Return whether a verifier fits; one that nobody asked for does not (Doorkeeper)."""
    if request.challenge_method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode() == request.challenge
    return verifier == request.challenge
