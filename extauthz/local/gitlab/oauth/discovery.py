"""The discovery document (OpenID Connect Discovery 1.0)."""

from typing import Any

from yarl import URL

from extauthz.local.gitlab.oauth.request import CHALLENGE_METHODS


def discovery_document(base: URL) -> dict[str, Any]:
    """Return where everything is; GitLab has no endpoint to end a session."""
    oauth = base / "oauth"
    return {
        "issuer": str(base).rstrip("/"),
        "authorization_endpoint": str(oauth / "authorize"),
        "token_endpoint": str(oauth / "token"),
        "revocation_endpoint": str(oauth / "revoke"),
        "introspection_endpoint": str(oauth / "introspect"),
        "userinfo_endpoint": str(oauth / "userinfo"),
        "jwks_uri": str(oauth / "discovery/keys"),
        "scopes_supported": ["api", "read_api", "read_user", "openid", "profile", "email"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claim_types_supported": ["normal"],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "sub_legacy", "name", "nickname"),
            *("preferred_username", "email", "email_verified", "website", "profile", "picture"),
            *("groups", "groups_direct"),
            "https://gitlab.org/claims/groups/owner",
            "https://gitlab.org/claims/groups/maintainer",
            "https://gitlab.org/claims/groups/developer",
        ],
        "code_challenge_methods_supported": list(CHALLENGE_METHODS),
    }
