"""The grant: one signed, short-lived header, all that crosses from the edge to MLflow.

GrantError
├── GrantForged    not ours, or not meant for this server
├── GrantExpired   ours, but its time is over or has not come
└── GrantTooLarge  more projects than one header can carry
"""

import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from pydantic import SecretStr

from extauthz.keys import Purpose, derive
from extauthz.levels import Role

HEADER: Final = "x-extauthz-grant"
LIFETIME: Final = 60
LEEWAY: Final = 10
LONGEST_PROJECTS: Final = 24 * 1024
LONGEST_TOKEN: Final = 48 * 1024
_ISSUER: Final = "extauthz"
_AUDIENCE: Final = "mlflow"
_ALGORITHMS: Final = ["HS256"]
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*")

Clock = Callable[[], float]


class GrantError(Exception):
    """A grant that cannot be made or must not be trusted."""


class GrantForged(GrantError):  # noqa: N818 - the tree reads better without suffixes
    """The grant was not made by our edge for this server."""


class GrantExpired(GrantError):  # noqa: N818
    """The grant is ours, but outside its lifetime: clocks differ or it was kept too long."""


class GrantTooLarge(GrantError):  # noqa: N818
    """The caller may read more projects than one header can carry."""


class View(StrEnum):
    """What part of MLflow a request may see."""

    PROJECT = "project"
    GLOBAL = "global"
    PUBLIC = "public"
    SYSTEM = "system"


class Why(StrEnum):
    """Why a role is only `read`; it words the refusal of a write."""

    GUEST = "guest"
    ARCHIVED = "archived"
    TOKEN = "token"  # noqa: S105 - a reason, not a secret
    STALE = "stale"
    VISITOR = "visitor"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Where the bar above MLflow's page leads; absolute URLs, or empty where there is none."""

    project: str = ""
    home: str = ""
    logout: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one request may do.

    `project_id` and `project_path` belong to the project view, `projects` (GitLab ids, ascending)
    to the global view, `links` to both. `why` says why the role is only READ.
    """

    view: View
    instance: str
    role: Role = Role.READ
    why: Why | None = None
    subject: str = ""
    name: str = ""
    project_id: int = 0
    project_path: str = ""
    links: Links = Links()
    projects: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse combinations that no view allows.

        Raises GrantForged, so that a signed but contradictory grant is refused like a forged one.
        """
        in_project = self.view is View.PROJECT
        if in_project is not (self.project_id > 0 and bool(self.project_path)):
            raise GrantForged("a project belongs to the project view, and to no other")
        if self.role is Role.WRITE and (not in_project or self.why is not None):
            raise GrantForged("only the project view writes, and it needs no reason to")
        if self.projects and self.view is not View.GLOBAL:
            raise GrantForged("a list of projects belongs to the global view")
        if any(a >= b for a, b in zip(self.projects, self.projects[1:], strict=False)):
            raise GrantForged("project ids must ascend")


class GrantKey:
    """One HS256 key and the id that names it in a header."""

    __slots__ = ("id", "jwk")

    def __init__(self, secret: SecretStr) -> None:
        self.id: Final = derive(secret, Purpose.GRANT_KEY_ID)[:6].hex()
        self.jwk: Final = OctKey.import_key(derive(secret, Purpose.GRANT))

    def __repr__(self) -> str:
        return f"GrantKey({self.id})"


class GrantSigner:
    """Signs grants with the current key."""

    def __init__(self, key: GrantKey, *, clock: Clock = time.time) -> None:
        self._key = key
        self._clock = clock
        self._header = {"alg": "HS256", "typ": "JWT", "kid": key.id}

    def sign(self, grant: Grant) -> str:
        """Return the header value, valid for LIFETIME seconds from now.

        Raises GrantTooLarge when the projects of a global view do not fit.
        """
        now = int(self._clock())
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "iat": now, "exp": now + LIFETIME}
        payload = json.dumps(claims | _claims(grant), separators=(",", ":"))
        return jws.serialize_compact(self._header, payload, self._key.jwk, _ALGORITHMS)


class GrantVerifier:
    """Opens grants signed with the current or the previous key, for one provider instance."""

    def __init__(
        self, keys: Sequence[GrantKey], *, instance: str, clock: Clock = time.time
    ) -> None:
        self._keys = {key.id: key.jwk for key in keys}
        self._instance = instance
        self._clock = clock

    def open(self, token: str) -> Grant:
        """Return the grant in a header value.

        Raises GrantForged for anything that our edge did not sign for this server and provider
        instance, GrantExpired for a grant of ours outside its lifetime (LEEWAY seconds allowed).
        """
        claims = self._verified(token)
        if claims.get("iss") != _ISSUER or claims.get("aud") != _AUDIENCE:
            raise GrantForged("the grant is meant for somebody else")
        try:
            issued, expires, grant = claims["iat"], claims["exp"], _grant(claims)
        except (KeyError, TypeError, ValueError, Base64Error) as error:
            raise GrantForged("the grant's claims are malformed") from error
        if grant.instance != self._instance:
            raise GrantForged("the grant is for another provider instance")
        self._check_time(issued, expires)
        return grant

    def _verified(self, token: str) -> dict[str, Any]:
        if len(token) > LONGEST_TOKEN:
            raise GrantForged("the grant is too long to be ours")
        try:
            key = self._keys[_key_id(token)]
            payload = jws.deserialize_compact(token, key, _ALGORITHMS).payload
            claims = json.loads(payload)
        except (JoseError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise GrantForged("the grant's signature is not ours") from error
        if not isinstance(claims, dict):
            raise GrantForged("the grant's claims are malformed")
        return claims

    def _check_time(self, issued: object, expires: object) -> None:
        if type(issued) is not int or type(expires) is not int:
            raise GrantForged("the grant's times are malformed")
        if not 0 < expires - issued <= LIFETIME:
            raise GrantForged("the grant lives longer than any of ours")
        now = self._clock()
        if now > expires + LEEWAY or now < issued - LEEWAY:
            raise GrantExpired(
                f"the grant was issued at {issued} and expired at {expires}, here it is {now:.0f}:"
                " compare the clocks of the edge and of MLflow"
            )


def pack_ids(ids: Sequence[int]) -> str:
    """Pack ascending ids as base64url of the LEB128 varints of their differences.

    Raises GrantTooLarge when the text would exceed LONGEST_PROJECTS characters.
    """
    packed = bytearray()
    previous = 0
    for number in ids:
        delta, previous = number - previous, number
        while delta > 0x7F:  # noqa: PLR2004 - seven bits a byte
            packed.append(delta & 0x7F | 0x80)
            delta >>= 7
        packed.append(delta)
    text = urlsafe_b64encode(packed).decode().rstrip("=")
    if len(text) > LONGEST_PROJECTS:
        raise GrantTooLarge(f"{len(ids)} projects do not fit into one grant")
    return text


def unpack_ids(text: str) -> tuple[int, ...]:
    """Unpack what pack_ids packed; raises ValueError for a text that it cannot have made."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("packed ids are base64url")  # the decoder skips other characters
    ids = tuple(_sums(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    if ids and ids[0] < 1:
        raise ValueError("ids begin at 1")
    return ids


def _sums(packed: bytes) -> Iterator[int]:
    total = delta = shift = 0
    for byte in packed:
        delta |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte of a number
            total += delta
            yield total
            delta = shift = 0
    if shift:
        raise ValueError("the last number is cut off")


def _key_id(token: str) -> str:
    header = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    kid = header["kid"]
    if not isinstance(kid, str):
        raise TypeError("kid must be text")
    return kid


def _claims(grant: Grant) -> dict[str, object]:
    claims: dict[str, object] = {
        "inst": grant.instance,
        "view": grant.view,
        "role": grant.role,
        "sub": grant.subject,
        "name": grant.name,
    }
    if grant.why is not None:
        claims["why"] = grant.why
    if grant.view is View.PROJECT:
        claims |= {"id": grant.project_id, "path": grant.project_path}
    if grant.view is View.GLOBAL:
        claims["ids"] = pack_ids(grant.projects)
    if grant.view in (View.PROJECT, View.GLOBAL):
        claims["links"] = [grant.links.project, grant.links.home, grant.links.logout]
    return claims


def _grant(claims: Mapping[str, Any]) -> Grant:
    project, home, logout = claims.get("links", ("", "", ""))
    texts = [claims["inst"], claims["sub"], claims["name"], claims.get("path", ""), project, home]
    if not all(isinstance(text, str) for text in [*texts, logout, claims.get("ids", "")]):
        raise TypeError("expected text")
    if type(claims.get("id", 0)) is not int:
        raise TypeError("expected a number")
    return Grant(
        view=View(claims["view"]),
        instance=claims["inst"],
        role=Role(claims["role"]),
        why=Why(claims["why"]) if "why" in claims else None,
        subject=claims["sub"],
        name=claims["name"],
        project_id=claims.get("id", 0),
        project_path=claims.get("path", ""),
        links=Links(project=project, home=home, logout=logout),
        projects=unpack_ids(claims.get("ids", "")),
    )
