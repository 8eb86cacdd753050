"""What this GitLab gets wrong on purpose, so that a client can show that it notices."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

_LIFETIME = 7200
_CODE_LIFETIME = 600
Changes = dict[str, Any]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Tampering:
    """The knobs; by default nothing is wrong. Times are in seconds.

    Of the mappings each replaces fields of one thing, and None takes a field out of it: `claims`
    and `header` of every id_token, `callback` of the parameters an application gets back, the
    others of the answer they are named after.
    """

    claims: Changes = field(default_factory=dict)
    header: Changes = field(default_factory=dict)
    # HS256 is keyed with the public key, which is the classic confusion of algorithms.
    algorithm: Literal["RS256", "HS256", "none"] = "RS256"
    # Signed by a key nobody publishes, under the id of one that is published.
    unpublished_key: bool = False
    # How far this GitLab's clock is ahead; it moves every time in an id_token.
    clock_skew: int = 0
    access_token_lifetime: int = _LIFETIME
    code_lifetime: int = _CODE_LIFETIME
    # Every authorization request is sent back with this error, for instance access_denied.
    authorize_error: str = ""
    callback: Changes = field(default_factory=dict)
    discovery: Changes = field(default_factory=dict)
    token_response: Changes = field(default_factory=dict)
    userinfo: Changes = field(default_factory=dict)
    # A refreshed pair dies with the first use of the new access token, not with the refresh
    # (Doorkeeper: refresh tokens revoked on use).
    late_revocation: bool = False


def tampered(fields: Mapping[str, Any], changes: Changes) -> Changes:
    """Return the fields with the changes made."""
    changed = {**fields, **changes}
    gone = {name for name, value in changes.items() if value is None}
    return {name: value for name, value in changed.items() if name not in gone}
