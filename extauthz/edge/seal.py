"""The seal: texts that only we can make and read, for the cookies of browsers.

A sealed text is base64url of a key id (4 bytes), a nonce (12) and AES-256-GCM's output. Each is
sealed for one purpose, and opens for no other.
"""

import os
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from extauthz.keys import Purpose, derive

_KEY_ID: Final = 4
_NONCE: Final = 12


class SealBroken(Exception):  # noqa: N818 - named for what happened
    """A text that we did not seal for this purpose, or with a key that is gone."""


class Seal:
    """Seals with the first secret; opens what any of them has sealed."""

    def __init__(self, secrets: Sequence[SecretStr]) -> None:
        self._keys: Final = {
            derive(secret, Purpose.SEAL_KEY_ID)[:_KEY_ID]: AESGCM(derive(secret, Purpose.SEAL))
            for secret in secrets
        }
        self._current: Final = next(iter(self._keys))

    def close(self, purpose: str, content: bytes) -> str:
        """Return the content, sealed."""
        nonce = os.urandom(_NONCE)
        sealed = self._keys[self._current].encrypt(nonce, content, purpose.encode())
        return urlsafe_b64encode(self._current + nonce + sealed).decode().rstrip("=")

    def open(self, purpose: str, text: str) -> bytes:
        """Return the content of a sealed text; raises SealBroken."""
        try:
            sealed = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            key, rest = self._keys[sealed[:_KEY_ID]], sealed[_KEY_ID:]
            return key.decrypt(rest[:_NONCE], rest[_NONCE:], purpose.encode())
        except (Base64Error, InvalidTag, KeyError, ValueError):
            raise SealBroken("not sealed by us") from None
