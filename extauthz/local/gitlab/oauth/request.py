"""The authorization request: what must be right before a user is asked (Doorkeeper's order)."""

from collections.abc import Mapping

from extauthz.local.gitlab.oauth.errors import OAuthError, missing
from extauthz.local.gitlab.oauth.records import AuthorizationRequest
from extauthz.local.gitlab.oauth.state import OAuth

CHALLENGE_METHODS = ("plain", "S256")
# What is asked for when nothing is said.
_DEFAULT_SCOPE = "api"


def authorization_request(oauth: OAuth, query: Mapping[str, str]) -> AuthorizationRequest:
    """Check the parameters of an authorization request; raises OAuthError."""
    if not query.get("client_id"):
        raise missing("client_id")
    application = oauth.applications.get(query["client_id"])
    if application is None:
        raise OAuthError("invalid_client")
    redirect_uri = query.get("redirect_uri", "")
    if redirect_uri not in application.redirect_uris:
        raise OAuthError("invalid_redirect_uri")
    _check_response(query)
    scopes = tuple(query.get("scope", "").split()) or (_DEFAULT_SCOPE,)
    if not set(scopes) <= set(application.scopes):
        raise OAuthError("invalid_scope")
    challenge = query.get("code_challenge", "")
    method = query.get("code_challenge_method", "") if challenge else ""
    if challenge and method not in CHALLENGE_METHODS:
        raise OAuthError("invalid_code_challenge_method")
    return AuthorizationRequest(
        client_id=application.client_id,
        redirect_uri=redirect_uri,
        scopes=scopes,
        state=query.get("state", ""),
        nonce=query.get("nonce", ""),
        challenge=challenge,
        challenge_method=method,
    )


def _check_response(query: Mapping[str, str]) -> None:
    if not query.get("response_type"):
        raise missing("response_type")
    if query["response_type"] != "code":
        raise OAuthError("unsupported_response_type")
    if query.get("response_mode", "query") != "query":
        raise OAuthError("unsupported_response_mode")
