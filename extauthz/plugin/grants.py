"""Grants already verified, kept while they are valid."""

import json
import time
from base64 import urlsafe_b64decode
from collections import OrderedDict
from hashlib import sha256
from typing import Final

from extauthz.grant import LEEWAY, Clock, Grant, GrantVerifier

# A global view holds up to some 20,000 ids, so this bounds the memory, not the hit rate.
MOST: Final = 256


class VerifiedGrants:
    """Opens grants, and remembers each until it expires.

    Belongs to one event loop: it is not safe to share between threads.
    """

    def __init__(self, verifier: GrantVerifier, *, clock: Clock = time.time) -> None:
        self._verifier = verifier
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Grant, int]] = OrderedDict()

    def open(self, token: str) -> Grant:
        """Return the grant in a header value; raises what GrantVerifier.open raises."""
        digest = sha256(token.encode()).digest()
        grant, expires = self._known.get(digest, (None, 0))
        if grant is not None and self._clock() <= expires + LEEWAY:
            self._known.move_to_end(digest)
            return grant
        grant = self._verifier.open(token)
        self._known[digest] = (grant, _expiry(token))
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return grant


def _expiry(verified: str) -> int:
    payload = verified.split(".")[1]
    expires: int = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
    return expires
