"""GitLab's signing keys: which tokens it has signed itself.

A token only chooses among the keys that GitLab publishes. Whatever else it says about how to verify
it, the algorithm included, is not believed.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from extauthz.edge.flights import Flights, landed
from extauthz.edge.gitlab_answers import unreadable
from extauthz.edge.operations import Operation
from extauthz.edge.outage import Busy
from extauthz.edge.refusals import Unavailable
from extauthz.edge.upstream import Answer, Call, Upstream

LONGEST_TOKEN: Final = 32 * 1024
_ALGORITHM: Final = "RS256"
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# They bring a key along or change how the rest is read; GitLab writes none of them.
_STEERING: Final = frozenset({"b64", "crit", "jku", "jwk", "x5c", "x5u"})
_SECONDS_FRESH: Final = 3_600.0
# Anybody can make up the id of a key.
_SECONDS_BETWEEN_CALLS: Final = 10.0
_SECONDS_WITHOUT_KEYS: Final = 1.0


class BadToken(Exception):  # noqa: N818 - named for what the caller is told
    """A token that is definitely not signed by GitLab; the text says why and quotes nothing."""


class SigningKeys:
    """Verifies tokens with the keys that GitLab publishes, which are read when they are needed."""

    def __init__(
        self,
        upstream: Upstream,
        path: str = "/oauth/discovery/keys",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._path = path
        self._clock = clock
        self._keys: dict[str, RSAKey] = {}
        self._fresh_until = 0.0
        self._ask_again_at = 0.0
        self._flights: Flights[str, None] = Flights()

    async def verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that GitLab has signed; says nothing about their meaning.

        Raises BadToken, or Unavailable where the key is not known and cannot be looked up now.
        """
        signed, kid = _parsed(token)
        return _claims(signed, await self._key(kid))

    async def close(self) -> None:
        """End the question under way."""
        await self._flights.close()

    async def _key(self, kid: str) -> RSAKey:
        """Return a published key; in an outage, one that was published when GitLab last said so."""
        known, now = self._keys.get(kid), self._clock()
        if known is not None and now < max(self._fresh_until, self._ask_again_at):
            return known
        if now < self._ask_again_at:
            raise Busy("GitLab's keys without this token's were just read. Try again in a moment.")
        try:
            await landed(self._flights.join(Operation.KEYS, self._read))
        except Unavailable:
            if known is None:
                raise
            return known
        if kid not in self._keys:
            raise BadToken("GitLab does not publish the key that this token names.")
        return self._keys[kid]

    async def _read(self) -> None:
        try:
            answer = await self._upstream.ask(
                Call(Operation.KEYS, self._path, {}, who=Operation.KEYS)
            )
            # One that publishes none is not at its best.
            self._keys = dict(_keys_in(answer)) or self._keys
            self._fresh_until = self._clock() + _SECONDS_FRESH
        finally:
            pause = _SECONDS_BETWEEN_CALLS if self._keys else _SECONDS_WITHOUT_KEYS
            self._ask_again_at = self._clock() + pause


def _parsed(token: str) -> tuple[jws.CompactSignature, str]:
    """Return a token, not verified yet, and the id of its key."""
    if len(token) > LONGEST_TOKEN or not _COMPACT.fullmatch(token):
        raise BadToken("This is no signed token of three parts.")
    try:
        signed = jws.extract_compact(token.encode())
    except (JoseError, ValueError, TypeError, RecursionError):
        raise BadToken("This token cannot be decoded.") from None
    match signed.headers():
        case {"alg": algorithm, "kid": str(kid), **rest}:
            if algorithm == _ALGORITHM and _STEERING.isdisjoint(rest):
                return signed, kid
    raise BadToken("This token is not signed the way GitLab signs.")


def _claims(signed: jws.CompactSignature, key: RSAKey) -> dict[str, Any]:
    try:
        good = jws.validate_compact(signed, key, [_ALGORITHM])
    except (JoseError, ValueError, TypeError):
        raise BadToken("This token is not signed the way GitLab signs.") from None
    if not good:
        raise BadToken("The signature of this token is not GitLab's.")
    try:
        claims = json.loads(signed.payload)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise BadToken("This token makes no claims.")
    return claims


def _keys_in(answer: Answer) -> Iterator[tuple[str, RSAKey]]:
    """Yield the RSA keys that sign; whatever else is published is for somebody else."""
    match answer.status, answer.body:
        case HTTPStatus.OK, {"keys": list(jwks)}:
            for jwk in jwks:
                # One odd key must not lock everybody out.
                with suppress(JoseError, ValueError, TypeError):
                    yield from _signing(jwk)
        case _:
            raise unreadable()


def _signing(jwk: object) -> Iterator[tuple[str, RSAKey]]:
    match jwk:
        case {"kty": "RSA", "kid": str(kid), "n": str(n), "e": str(e), **rest}:
            if rest.get("use", "sig") == "sig" and rest.get("alg", _ALGORITHM) == _ALGORITHM:
                yield kid, RSAKey.import_key({"kty": "RSA", "n": n, "e": e})
