"""Refusals of the OAuth endpoints, worded and shaped as Doorkeeper does."""

from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web

_DESCRIPTIONS = MappingProxyType(
    {
        "access_denied": "The resource owner or authorization server denied the request.",
        "consent_required": "The authorization server requires end-user consent.",
        "insufficient_scope": 'Access to this resource requires scope "openid".',
        "invalid_client": (
            "Client authentication failed due to unknown client, no client authentication "
            "included, or unsupported authentication method."
        ),
        "invalid_code_challenge_method": "The code_challenge_method must be one of plain, S256.",
        "invalid_grant": (
            "The provided authorization grant is invalid, expired, revoked, does not match the "
            "redirection URI used in the authorization request, or was issued to another client."
        ),
        "invalid_redirect_uri": (
            "The requested redirect uri is malformed or doesn't match client redirect URI."
        ),
        "invalid_request": (
            "The request is missing a required parameter, includes an unsupported parameter "
            "value, or is otherwise malformed."
        ),
        "invalid_scope": "The requested scope is invalid, unknown, or malformed.",
        "login_required": "The authorization server requires end-user authentication.",
        "unauthorized_client": "You are not authorized to revoke this token",
        "unsupported_grant_type": (
            "The authorization grant type is not supported by the authorization server."
        ),
        "unsupported_response_mode": (
            "The authorization server does not support this response mode."
        ),
        "unsupported_response_type": (
            "The authorization server does not support this response type."
        ),
    }
)
_STATUSES = MappingProxyType(
    {
        "insufficient_scope": HTTPStatus.FORBIDDEN,
        "invalid_client": HTTPStatus.UNAUTHORIZED,
        "invalid_token": HTTPStatus.UNAUTHORIZED,
        "unauthorized_client": HTTPStatus.FORBIDDEN,
    }
)


class OAuthError(Exception):
    """A refusal with one of OAuth's error codes."""

    def __init__(self, code: str, description: str = "") -> None:
        self.code = code
        self.description = description or _DESCRIPTIONS.get(code, code)
        super().__init__(f"{code}: {self.description}")

    def answer(self) -> web.Response:
        """Return it as the JSON of an endpoint that programs call."""
        described = self.description.replace('"', '\\"')
        challenge = (
            f'Bearer realm="Doorkeeper", error="{self.code}", error_description="{described}"'
        )
        return web.json_response(
            self.fields(),
            status=_STATUSES.get(self.code, HTTPStatus.BAD_REQUEST),
            headers={"Cache-Control": "no-store, no-cache", "WWW-Authenticate": challenge},
        )

    def fields(self) -> dict[str, str]:
        """Return it as the parameters of a body or of a redirect."""
        return {"error": self.code, "error_description": self.description}


def missing(parameter: str) -> OAuthError:
    """Return what a request without a parameter gets."""
    return OAuthError("invalid_request", f"Missing required parameter: {parameter}.")
