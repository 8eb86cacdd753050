"""Keys: one secret, one derived key per purpose."""

from base64 import urlsafe_b64encode
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

SHORTEST = 32


class Purpose(StrEnum):
    """What a derived key is for; the value is HKDF's `info`."""

    GRANT = "extauthz grant v1"
    GRANT_KEY_ID = "extauthz grant key id v1"
    CACHE = "extauthz cache v1"
    SEAL = "extauthz seal v1"
    SEAL_KEY_ID = "extauthz seal key id v1"


def derive(secret: SecretStr, purpose: Purpose) -> bytes:
    """Derive the 32-byte key of one purpose (HKDF-SHA256, RFC 5869)."""
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode())
    return hkdf.derive(secret.get_secret_value().encode())


def derive_text(secret: SecretStr, purpose: Purpose) -> SecretStr:
    """Derive a key in the printable form that settings take."""
    return SecretStr(urlsafe_b64encode(derive(secret, purpose)).decode().rstrip("="))
