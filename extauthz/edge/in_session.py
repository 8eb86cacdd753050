"""What a look-up leads to: an access, or one in a session that is newer than the browser knows."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

A_co = TypeVar("A_co", covariant=True)
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class InSession(Generic[A_co]):
    """An access, and the values of Set-Cookie by which a browser keeps up with its session."""

    access: A_co
    cookies: tuple[str, ...]


Answered: TypeAlias = A | InSession[A]
# At once where it is known.
Looked: TypeAlias = Answered[A] | Awaitable[Answered[A]]


def taken_apart(answered: Answered[A]) -> tuple[A, tuple[str, ...]]:
    """Return the access, and the cookies to set with the answer."""
    if isinstance(answered, InSession):
        return answered.access, answered.cookies
    return answered, ()
