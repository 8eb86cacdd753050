"""Credentials: who the caller says to be.

A token that is sent on purpose comes before what a browser sends along by itself, and never gives
way to it.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

from extauthz.edge.cookies import expired, values_of
from extauthz.edge.job_tokens import is_job_token
from extauthz.edge.refusals import BadRequest, Unauthenticated
from extauthz.edge.site import Site

# Visible ASCII: a space would be ignored by GitLab, and give one token many names here.
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}")
# What a browser keeps of one cookie (RFC 6265, 4.1.1 and 6.1). Two that Envoy joined have a comma.
_SESSION: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,4096}")
# GitLab answers a job token that it does not take anonymously, and its deploy tokens cannot use
# the API at all (GitLab: CI job token, deploy tokens), so neither can prove anybody.
_UNUSABLE: Final = {
    "glcbt-": "A CI job token cannot prove who you are here. Use a project access token.",
    "gldt-": "A deploy token cannot use GitLab's API. Use a project access token.",
}
# Of our own sessions; under https at the root of a host it has the prefix `__Host-`.
SESSION_COOKIE: Final = "mlflow-session"
_TOKEN_HEADERS: Final = ("private-token", "x-gitlab-token")
_HOW_TO: Final = (
    "Set MLFLOW_TRACKING_TOKEN to a GitLab access token with the scope `api` (or `read_api` to "
    "read only)."
)


class Kind(StrEnum):
    """What kind of credential it is; equal strings of different kinds never share a cache entry."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    SESSION = "session"  # our own, sealed in a cookie
    LOGIN = "login"  # the access token in one of our sessions
    JOB = "job"  # the id_token of a CI job
    SHARINGHUB_SESSION = "sharinghub-session"
    VISITOR = "visitor"


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that a provider can check, and the address it was sent from, if that matters."""

    kind: Kind
    secret: SecretStr
    client: str = field(default="", compare=False)

    def sent_from(self, client: str) -> "Credential":
        """Return the same credential, sent from an address."""
        return Credential(self.kind, self.secret, client)


# Nobody in particular: one and the same for all who come without a credential.
VISITOR: Final = Credential(Kind.VISITOR, SecretStr(""))


def gitlab_credential(
    headers: Mapping[str, str], *, session_cookie: str, site: Site, audience: str = ""
) -> Credential:
    """Return the one credential of a request where GitLab is the provider.

    `session_cookie` is empty where nobody signs in, and so is `audience`, that of the CI jobs'
    tokens that are for us, where none are.

    Raises BadRequest when two different tokens are sent or a header came twice (Envoy joins the
    copies with a comma), Unauthenticated when there is none that a provider could check.
    """
    token = _token(headers)
    if token is not None and is_job_token(token, audience):
        # GitLab would not know what to do with it.
        return Credential(Kind.JOB, SecretStr(token))
    if token is not None:
        return token_credential(token)
    session = _session(headers, session_cookie, site, Kind.SESSION) if session_cookie else None
    if session is None:
        raise Unauthenticated(f"This needs a GitLab token. {_HOW_TO}")
    return session


def sharinghub_credential(
    headers: Mapping[str, str], *, session_cookie: str, site: Site
) -> Credential:
    """Return the one credential of a request where SharingHub is the provider.

    Raises as above, but nobody in particular is a visitor: SharingHub's own server sends the empty
    bearer for them.
    """
    if headers.get("authorization", "").strip().lower() == "bearer":
        return _alone(headers)
    token = _token(headers)
    if token is not None:
        return token_credential(token)
    return _session(headers, session_cookie, site, Kind.SHARINGHUB_SESSION) or VISITOR


def has_token(headers: Mapping[str, str]) -> bool:
    """Tell whether a client sent something to prove itself by, on purpose."""
    return "authorization" in headers or any(name in headers for name in _TOKEN_HEADERS)


def _alone(headers: Mapping[str, str]) -> Credential:
    if any(name in headers for name in _TOKEN_HEADERS):
        raise BadRequest("The request carries two different tokens. Send one.")
    return VISITOR


def _session(headers: Mapping[str, str], name: str, site: Site, kind: Kind) -> Credential | None:
    """Return the session in a cookie; what cannot be one is nobody's."""
    values = values_of(name, headers.get("cookie", ""))
    # Envoy joins the lines of a repeated header with a comma, which no cookie's value has.
    if len(values) > 1 or any("," in value for value in values):
        raise two_sessions(name, site)
    if not values or not _SESSION.fullmatch(values[0]):
        return None
    return Credential(kind, SecretStr(values[0]))


def two_sessions(name: str, site: Site) -> BadRequest:
    """Return the refusal of a session that was sent twice: a sibling domain may have added one."""
    return BadRequest(
        f"Your browser sent the cookie {name} more than once. It was told to forget it: try again, "
        "and delete this site's cookies if that does not help.",
        cookies=list(expired(name, site, f"{site.prefix}/x/")),
    )


def _token(headers: Mapping[str, str]) -> str | None:
    """Return the token that was sent on purpose."""
    tokens = set(_tokens(headers))
    if len(tokens) > 1:
        raise BadRequest("The request carries two different tokens. Send one.")
    return tokens.pop() if tokens else None


def token_credential(token: str) -> Credential:
    """Return a token as a credential; raises Unauthenticated for what GitLab never takes."""
    if not _TOKEN.fullmatch(token):
        raise Unauthenticated(f"The token sent is not one that GitLab makes. {_HOW_TO}")
    for prefix, hint in _UNUSABLE.items():
        if token.startswith(prefix):
            raise Unauthenticated(hint)
    return Credential(Kind.TOKEN, SecretStr(token))


def _tokens(headers: Mapping[str, str]) -> Iterator[str]:
    if "authorization" in headers:
        yield _authorization(headers["authorization"])
    for name in _TOKEN_HEADERS:
        if name in headers:
            yield _single(headers[name])


def _authorization(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            return _single(rest)
        case "basic":
            return _password(_single(rest))
        case _:
            raise Unauthenticated(f"Authorization must be Bearer or Basic. {_HOW_TO}")


def _single(value: str) -> str:
    if "," in value:
        raise BadRequest("A credential header was sent more than once. Send one.")
    return value.strip()


def _password(encoded: str) -> str:
    """Return the password of a Basic credential: the token; the name is ignored (RFC 7617)."""
    try:
        _name, colon, password = b64decode(encoded, validate=True).decode("ascii").partition(":")
    except ValueError as error:  # base64's and Unicode's, and that of a text that is not ASCII
        raise BadRequest("The Basic credential cannot be decoded.") from error
    if not colon:
        raise BadRequest("The Basic credential has no password.")
    return password
