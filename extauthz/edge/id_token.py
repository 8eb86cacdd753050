"""The id_token of a login: GitLab's word on who has signed in (OpenID Connect Core, 3.1.3.7)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc.errors import ExpiredTokenError, JoseError

from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden

# GitLab's clock and ours.
_LEEWAY: Final = 30
_LONGEST_NAME: Final = 255
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")


def user_in(
    claims: Mapping[str, Any],
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str,
    now: float,
) -> User:
    """Return who has signed in, from claims whose signature was verified; raises Forbidden."""
    # Authlib is content with an `azp` of ours among audiences that we do not know (rule 3).
    if claims.get("aud") not in (client_id, [client_id]):
        raise mistrusted("it is not meant for this application alone")
    token = CodeIDToken(
        dict(claims),
        {"alg": "RS256"},
        options={
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
        },
        params={"nonce": nonce, "client_id": client_id, "access_token": access_token},
    )
    try:
        token.validate(int(now), _LEEWAY)
    except ExpiredTokenError:
        raise mistrusted("it has expired: GitLab's clock and ours may differ") from None
    except (JoseError, TypeError, ValueError, KeyError) as error:
        raise mistrusted(_cause(error)) from None
    return _user(token)


def mistrusted(cause: str) -> Forbidden:
    """Return the refusal of a login whose id_token is not to be trusted."""
    return Forbidden(
        f"GitLab's answer could not be trusted: {cause}. Try again, and tell your administrator if "
        "it stays like this."
    )


def _user(claims: Mapping[str, Any]) -> User:
    match claims:
        case {"sub": str(number), **rest} if _NUMBER.fullmatch(number):
            name = rest.get("nickname")
            return User(f"gitlab:{number}", name[:_LONGEST_NAME] if isinstance(name, str) else "")
    raise mistrusted("it does not say who you are")


def _cause(error: Exception) -> str:
    claim = getattr(error, "claim", "") or "a claim"
    return f"its {claim} is wrong, or GitLab's clock and ours differ"
