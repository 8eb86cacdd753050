"""Callers: the credentials that the provider has accepted or refused."""

from collections.abc import Callable
from typing import Final

from extauthz.edge.cache import Cache
from extauthz.edge.flights import fresh
from extauthz.edge.outage import Throttled
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated

SECONDS_REFUSED: Final = 30.0
SECONDS_ABSENT: Final = 15.0
SECONDS_KNOWN: Final = 86_400.0
_MOST: Final = 20_000
_ANYWHERE: Final = ""


class Caller:
    """An accepted credential. What is known of it hangs on this object's identity."""

    __slots__ = ()


class Callers:
    """Remembers acceptance and refusal apart, so that made-up tokens never crowd out good ones."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accepted: Cache[bytes, Caller] = Cache(_MOST, clock=clock)
        self._known: Cache[bytes, bool] = Cache(_MOST, clock=clock)
        self._refused: Cache[tuple[bytes, str], Refusal] = Cache(_MOST, clock=clock)

    def get(self, who: bytes) -> Caller | None:
        """Return the caller with an accepted credential."""
        return self._accepted.get(who)

    def knows(self, who: bytes) -> bool:
        """Say whether the provider has accepted the credential not so long ago.

        Proves nothing about now; but who asks for such a one has not just made it up.
        """
        return self._known.get(who) is not None

    def accept(self, who: bytes, *, until: float) -> Caller:
        """Remember that the provider knows the credential."""
        caller = self._accepted.get(who) or Caller()
        self._accepted.put(who, caller, until=until)
        self._known.put(who, True, until=self._clock() + SECONDS_KNOWN)  # noqa: FBT003 - a set
        return caller

    def forget(self, who: bytes) -> None:
        """End all that hangs on a credential."""
        self._accepted.drop(who)
        self._known.drop(who)

    def refuse(self, who: bytes, place: str, refusal: Refusal) -> None:
        """Remember a definite refusal; one of the credential itself ends all that hangs on it."""
        now = self._clock()
        match refusal:
            case Unauthenticated() | Forbidden():
                self.forget(who)
                self._refused.put((who, _ANYWHERE), fresh(refusal), until=now + SECONDS_REFUSED)
            case NotFound():
                self._refused.put((who, place), fresh(refusal), until=now + SECONDS_ABSENT)
            case Throttled(retry_after=seconds):
                self._refused.put((who, _ANYWHERE), fresh(refusal), until=now + seconds)

    def check(self, who: bytes, place: str) -> None:
        """Raise the refusal that is known already, if there is one."""
        for known in ((who, _ANYWHERE), (who, place)):
            if (refusal := self._refused.get(known)) is not None:
                raise fresh(refusal)
