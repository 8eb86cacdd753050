"""What GitLab tells an application of a user (config/initializers/doorkeeper_openid_connect.rb)."""

import hashlib
import time
from collections.abc import Sequence
from typing import Any

from yarl import URL

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.records import Issued
from extauthz.local.gitlab.records import Level, User

# GitLab's default: openid_id_token_expire_in_seconds.
_LIFETIME = 120
_OWN_GROUPS = (Level.OWNER, Level.MAINTAINER, Level.DEVELOPER)
Claims = dict[str, Any]


def id_token_claims(instance: Instance, issued: Issued, base: URL) -> Claims:
    """Return the claims of the id_token that comes with an access token."""
    user = instance.users[issued.sign_in.user_id]
    scopes = instance.tokens[issued.access_token].scopes
    now = int(time.time())
    return {
        "iss": str(base).rstrip("/"),
        "sub": str(user.id),
        "aud": issued.client_id,
        "exp": now + _LIFETIME,
        "iat": now,
        **({"nonce": issued.nonce} if issued.nonce else {}),
        "auth_time": issued.sign_in.at,
        **_profile(user, scopes, base),
        "groups_direct": direct_groups(instance, user),
    }


def userinfo_claims(instance: Instance, user: User, scopes: Sequence[str], base: URL) -> Claims:
    """Return what `/oauth/userinfo` says."""
    owned = {
        f"https://gitlab.org/claims/groups/{level.name.lower()}": paths
        for level in _OWN_GROUPS
        if (paths := direct_groups(instance, user, level))
    }
    return {
        "sub": str(user.id),
        **_profile(user, scopes, base),
        "groups": [
            group.path
            for group in instance.groups.values()
            if any(user.id in instance.group_members[g.id] for g in instance.lineage(group.path))
        ],
        **owned,
    }


def direct_groups(instance: Instance, user: User, level: int | None = None) -> list[str]:
    """Return the paths of the groups a user is a direct member of, at one level or at any."""
    rows = {id_: members.get(user.id) for id_, members in instance.group_members.items()}
    return [
        instance.groups[id_].path
        for id_, row in sorted(rows.items())
        if row is not None and level in (None, row)
    ]


def _profile(user: User, scopes: Sequence[str], base: URL) -> Claims:
    """Return what both have. Without the scope `email` only a public address is told: nobody's."""
    email = {"email": user.email, "email_verified": True} if "email" in scopes else {}
    return {
        "sub_legacy": hashlib.sha256(f"{user.id}-demo".encode()).hexdigest(),
        "name": user.name,
        "nickname": user.username,
        "preferred_username": user.username,
        **email,
        "profile": str(base / user.username),
        "picture": str(base / "uploads" / user.username),
    }
