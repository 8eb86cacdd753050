"""The handshake of a login: what we must find again when GitLab sends a browser back.

Each is sealed into a cookie of its own, so that it belongs to one browser, outlives a restart of
ours, and any number of tabs can sign in at once.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Final

from extauthz.edge.cache import Cache
from extauthz.edge.cookies import own_cookie, own_name, pairs_in, values_of
from extauthz.edge.seal import Seal, SealBroken
from extauthz.edge.site import Site

SECONDS: Final = 600.0
# A browser that never comes back must not fill up with them: servers in front limit its headers.
MOST: Final = 12
MOST_BYTES: Final = 6_000
_PURPOSE: Final = "handshake"
_COOKIE: Final = "mlflow-login-"
_LENGTH_OF_NAME: Final = 12
_MOST_USED: Final = 20_000
# Envoy limits the headers of an answer.
_MOST_FORGOTTEN: Final = 40


@dataclass(frozen=True, slots=True)
class Handshake:
    """One login under way. `target` is our address to go to after it; `started` a Unix time."""

    state: str
    nonce: str
    verifier: str
    target: str
    started: float


class Handshakes:
    """Begins handshakes and finishes each at most once."""

    def __init__(
        self,
        seal: Seal,
        site: Site,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seal = seal
        self._site = site
        self._wall = wall
        self._clock = clock
        self._used: Cache[str, bool] = Cache(_MOST_USED, clock=clock)

    def begin(self, target: str, cookies: str) -> tuple[Handshake, list[str]]:
        """Return a new handshake, and the Set-Cookie values that bind it to a browser.

        `cookies` is the Cookie header; of too many handshakes the browser forgets the others.
        """
        handshake = Handshake(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            # RFC 7636: 43 to 128 characters.
            verifier=secrets.token_urlsafe(48),
            target=target,
            started=self._wall(),
        )
        sealed = self._seal.close(_PURPOSE, json.dumps(astuple(handshake)).encode())
        name = _name(handshake.state)
        return handshake, [
            own_cookie(name, sealed, self._site, seconds=SECONDS),
            *self._surplus(cookies),
        ]

    def find(self, state: str, cookies: str) -> Handshake | None:
        """Return the handshake that a browser has begun, None if it is not its own or used up."""
        name = own_name(_name(state), self._site)
        for value in values_of(name, cookies):
            handshake = self._opened(value)
            if handshake and secrets.compare_digest(handshake.state.encode(), state.encode()):
                late = self._wall() - handshake.started > SECONDS
                return None if late or self._used.get(state) else handshake
        return None

    def finish(self, handshake: Handshake) -> str:
        """Use a handshake up; returns the Set-Cookie value that makes the browser forget it."""
        until = self._clock() + SECONDS
        self._used.put(handshake.state, True, until=until)  # noqa: FBT003 - a set
        return own_cookie(_name(handshake.state), "", self._site, seconds=0)

    def _opened(self, sealed: str) -> Handshake | None:
        try:
            state, nonce, verifier, target, started = json.loads(self._seal.open(_PURPOSE, sealed))
        except (SealBroken, ValueError):
            return None
        return Handshake(state, nonce, verifier, target, started)

    def _surplus(self, cookies: str) -> list[str]:
        prefix, ours = own_name(_COOKIE, self._site), own_name("", self._site)
        sent = [(name, value) for name, value in pairs_in(cookies) if name.startswith(prefix)]
        surplus = []
        # Browsers send what they have got first, first (RFC 6265, 5.4).
        while len(sent) >= MOST or sum(len(value) for _, value in sent) > MOST_BYTES:
            name, _ = sent.pop(0)
            surplus.append(own_cookie(name.removeprefix(ours), "", self._site, seconds=0))
        return surplus[:_MOST_FORGOTTEN]


def _name(state: str) -> str:
    digest = hashlib.sha256(state.encode()).hexdigest()
    return f"{_COOKIE}{digest[:_LENGTH_OF_NAME]}"
