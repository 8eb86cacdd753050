"""Which application calls: client_secret_basic, then client_secret_post."""

import hmac
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping

from extauthz.local.gitlab.oauth.errors import OAuthError
from extauthz.local.gitlab.oauth.records import Application
from extauthz.local.gitlab.oauth.state import OAuth


def client_of(oauth: OAuth, headers: Mapping[str, str], form: Mapping[str, str]) -> Application:
    """Return the application that proved itself; raises OAuthError."""
    client_id, secret = _basic(headers) or (form.get("client_id", ""), form.get("client_secret"))
    application = oauth.applications.get(client_id)
    if application is None or secret is None:
        raise OAuthError("invalid_client")
    if not hmac.compare_digest(application.secret.encode(), secret.encode()):
        raise OAuthError("invalid_client")
    return application


def _basic(headers: Mapping[str, str]) -> tuple[str, str] | None:
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(value, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        raise OAuthError("invalid_client") from None
    return client_id, secret
