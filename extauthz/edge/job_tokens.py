"""CI jobs' tokens: how they are told from others. `job_claims` reads what they say."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

# The signature may be empty: such a token is refused as a job's, and never shown to GitLab.
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]{1,32768})\.[A-Za-z0-9_-]*")


def is_job_token(token: str, audience: str) -> bool:
    """Tell whether a token claims to be meant for us; proves nothing."""
    found = _COMPACT.fullmatch(token)
    if found is None:
        return False
    try:
        claims = json.loads(urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(claims, dict) and is_meant_for(audience, claims)


def is_meant_for(audience: str, claims: Mapping[str, Any]) -> bool:
    """Tell whether an audience is the one, or one of those, that claims are for."""
    meant = claims.get("aud")
    return bool(audience) and audience in (meant if isinstance(meant, list) else [meant])
