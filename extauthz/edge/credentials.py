"""Credentials: who the caller says to be."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

from extauthz.edge.errors import BadRequest, Unauthenticated

# Visible ASCII: a space would be ignored by GitLab, and give one token many names here.
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}")
# GitLab answers a job token that it does not take anonymously, and its deploy tokens cannot use
# the API at all (GitLab: CI job token, deploy tokens), so neither can prove anybody.
_UNUSABLE: Final = {
    "glcbt-": "A CI job token cannot prove who you are here. Use a project access token.",
    "gldt-": "A deploy token cannot use GitLab's API. Use a project access token.",
}
_HOW_TO: Final = (
    "Set MLFLOW_TRACKING_TOKEN to a GitLab access token with the scope `api` (or `read_api` to "
    "read only)."
)


class Kind(StrEnum):
    """What kind of credential it is; equal strings of different kinds never share a cache entry."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that a provider can check."""

    kind: Kind
    secret: SecretStr


def credential_of(headers: Mapping[str, str]) -> Credential:
    """Return the one credential of a request.

    Raises BadRequest when two different tokens are sent or a header came twice (Envoy joins the
    copies with a comma), Unauthenticated when there is none that a provider could check.
    """
    tokens = set(_tokens(headers))
    if len(tokens) > 1:
        raise BadRequest("The request carries two different tokens. Send one.")
    if not tokens:
        raise Unauthenticated(f"This needs a GitLab token. {_HOW_TO}")
    token = tokens.pop()
    if not _TOKEN.fullmatch(token):
        raise Unauthenticated(f"The token sent is not one that GitLab makes. {_HOW_TO}")
    for prefix, hint in _UNUSABLE.items():
        if token.startswith(prefix):
            raise Unauthenticated(hint)
    return Credential(Kind.TOKEN, SecretStr(token))


def _tokens(headers: Mapping[str, str]) -> Iterator[str]:
    if "authorization" in headers:
        yield _authorization(headers["authorization"])
    for name in ("private-token", "x-gitlab-token"):
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
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadRequest("The Basic credential cannot be decoded.") from error
    if not colon:
        raise BadRequest("The Basic credential has no password.")
    return password
