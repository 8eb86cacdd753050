"""Fingerprints: what credentials are called in a cache, where no secret is a key."""

import hmac

from pydantic import SecretStr

from extauthz.edge.credentials import Credential
from extauthz.keys import Purpose, derive


class Fingerprints:
    """Names credentials without revealing them.

    Equal secrets of different kinds, or for different providers, have different names.
    """

    def __init__(self, secret: SecretStr, provider_url: str) -> None:
        self._key = derive(secret, Purpose.CACHE)
        self._provider = provider_url.encode()

    def of(self, credential: Credential) -> bytes:
        """Return the name of a credential: an HMAC-SHA256."""
        secret = credential.secret.get_secret_value().encode()
        return hmac.digest(
            self._key, b"\0".join((self._provider, credential.kind.encode(), secret)), "sha256"
        )
