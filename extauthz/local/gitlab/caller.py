"""Who calls: the token in a request's headers, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass

from extauthz.local.gitlab.errors import (
    AccountBlocked,
    insufficient_granular_scope,
    insufficient_scope,
    invalid_token,
    unauthorized,
)
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.issuing import note_use
from extauthz.local.gitlab.records import State, Token, TokenKind, User

_WHY_NOT = {
    State.BLOCKED: "Your account has been blocked.",
    State.DEACTIVATED: (
        "Your account has been deactivated by your administrator. "
        "Please log back in from a web browser to reactivate your account."
    ),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the token he proved himself with; neither when anonymous."""

    user: User | None = None
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a token must have: one of the scopes, or the permission if it is fine-grained.

    No permission at all means that any fine-grained token will do.
    """

    scopes: tuple[str, ...]
    permission: str = ""


def presents_token(headers: Mapping[str, str]) -> bool:
    """Return whether a request carries any token, good or bad."""
    return bool(bearer_of(headers) or headers.get("PRIVATE-TOKEN") or headers.get("JOB-TOKEN"))


def caller_of(instance: Instance, headers: Mapping[str, str], needs: Needs) -> Caller:
    """Return who calls; raises ApiError.

    Without a token the caller is anonymous, and so he is with a CI job token where job tokens are
    not allowed, which is everywhere here (GitLab: CI job token). Basic is not looked at.
    """
    token = _token(instance, headers)
    if token is None:
        return Caller()
    _check_token(token, needs)
    user = instance.users[token.user_id]
    if user.state is not State.ACTIVE:
        raise AccountBlocked(_WHY_NOT[user.state])
    return Caller(user, token)


def _token(instance: Instance, headers: Mapping[str, str]) -> Token | None:
    """Find the token: a bearer is first looked up as an OAuth token, then as a personal one."""
    bearer = bearer_of(headers)
    oauth = instance.tokens.get(bearer)
    if oauth and oauth.kind is TokenKind.OAUTH:
        note_use(instance, bearer)
        return oauth
    secret = headers.get("PRIVATE-TOKEN") or bearer
    if not secret or secret.startswith("glcbt-"):
        return None
    token = instance.tokens.get(secret)
    if token is None or token.kind is not TokenKind.PERSONAL:
        raise unauthorized()
    return token


def _check_token(token: Token, needs: Needs) -> None:
    if token.expired:
        raise invalid_token(
            "Token is expired. You can either do re-authorization or token refresh."
        )
    if token.revoked:
        raise invalid_token("Token was revoked. You have to re-authorize from the user.")
    if token.permissions is None:
        if needs.scopes and not set(token.scopes) & set(needs.scopes):
            raise insufficient_scope(needs.scopes)
    elif needs.permission and needs.permission not in token.permissions:
        raise insufficient_granular_scope(
            "Access denied: This operation requires a fine-grained personal access token with the "
            f"following project permissions: [{needs.permission}]."
        )


def bearer_of(headers: Mapping[str, str]) -> str:
    """Return the token of an Authorization header, empty if there is none."""
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""
