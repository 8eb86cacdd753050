"""The keys that sign id_tokens, and how wrong signatures are made."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey
from pydantic_core import to_json

from extauthz.local.gitlab.oauth.tampering import Tampering, tampered

_BITS = 2048
_TIMES = ("auth_time", "exp", "iat", "nbf")


class Purpose(StrEnum):
    """What a key signs. GitLab has one for logins and one for CI jobs, both in its JWKS."""

    LOGIN = "login"
    JOB = "job"


class KeyRing:
    """RSA keys, made when they are first needed."""

    def __init__(self) -> None:
        self._keys: dict[Purpose, RSAKey] = {}
        self._previous: list[RSAKey] = []

    def rotate(self, *, keep_previous: bool) -> None:
        """Sign with new keys from now on; the old ones stay published or vanish."""
        self._previous = [self._key(purpose) for purpose in Purpose] if keep_previous else []
        self._keys = {}

    def key_ids(self) -> dict[str, str]:
        """Return the id of each key that signs now."""
        return {purpose.value: self._key(purpose).thumbprint() for purpose in Purpose}

    def published(self) -> list[dict[str, Any]]:
        """Return the JWKs."""
        keys = [self._key(purpose) for purpose in Purpose] + self._previous
        return [
            {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig", "alg": "RS256"}
            for key in keys
        ]

    def sign(self, purpose: Purpose, claims: Mapping[str, Any], tampering: Tampering) -> str:
        """Return a compact JWT, wrong in the ways asked for."""
        key = self._key(purpose)
        header = tampered(
            {"typ": "JWT", "kid": key.thumbprint(), "alg": tampering.algorithm}, tampering.header
        )
        payload = to_json(tampered(_skewed(claims, tampering.clock_skew), tampering.claims))
        match tampering.algorithm:
            case "RS256":
                signer = _new_key() if tampering.unpublished_key else key
                return jws.serialize_compact(header, payload, signer, algorithms=["RS256"])
            case "HS256":
                return _forged(header, payload, key.as_pem(private=False))
            case "none":
                return _forged(header, payload, None)

    def _key(self, purpose: Purpose) -> RSAKey:
        if purpose not in self._keys:
            self._keys[purpose] = _new_key()
        return self._keys[purpose]


def _new_key() -> RSAKey:
    return RSAKey.generate_key(_BITS)


def _skewed(claims: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    moved = {name: claims[name] + seconds for name in _TIMES if name in claims}
    return {**claims, **moved}


def _forged(header: Mapping[str, Any], payload: bytes, secret: bytes | None) -> str:
    """Put together by hand what joserfc rightly refuses to sign."""
    signed = b".".join((_base64url(to_json(header)), _base64url(payload)))
    signature = b"" if secret is None else hmac.digest(secret, signed, hashlib.sha256)
    return b".".join((signed, _base64url(signature))).decode()


def _base64url(text: bytes) -> bytes:
    return urlsafe_b64encode(text).rstrip(b"=")
