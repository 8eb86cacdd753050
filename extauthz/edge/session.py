"""The session: who has signed in with GitLab, and the tokens that speak for him."""

import json
from dataclasses import dataclass, field
from typing import Final, Self

from pydantic import SecretStr

from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.provider import User

# However busy: then he signs in again.
SECONDS_AT_MOST: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of GitLab's tokens.

    The access token `ends` at that Unix time, and the pair is `due` for a new one some time before.
    """

    access: SecretStr
    refresh: SecretStr
    due: float
    ends: float


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it was at some time.

    `generation` counts the refreshes: of two states of a session the greater one is newer.
    `created` and `seen` are Unix times. `cookie` is the value by which a browser names it.
    """

    id: str
    user: User
    tokens: Tokens
    created: float
    seen: float
    generation: int = 0
    cookie: str = field(default="", compare=False, repr=False)

    @property
    def credential(self) -> Credential:
        """What GitLab is asked with."""
        return Credential(Kind.LOGIN, self.tokens.access)

    def pack(self) -> bytes:
        """Return everything but the cookie."""
        access, refresh = self.tokens.access, self.tokens.refresh
        return json.dumps(
            [
                *(self.id, self.user.subject, self.user.name),
                *(access.get_secret_value(), refresh.get_secret_value()),
                *(self.tokens.due, self.tokens.ends),
                *(self.created, self.seen, self.generation),
            ],
            separators=(",", ":"),
        ).encode()

    @classmethod
    def unpack(cls, packed: bytes, cookie: str) -> Self:
        """Return what `pack` packed; raises ValueError for what it did not."""
        try:
            id_, subject, name, access, refresh, *numbers, generation = json.loads(packed)
            due, ends, created, seen = map(float, numbers)
            tokens = Tokens(SecretStr(access), SecretStr(refresh), due, ends)
            changes = int(generation)
        except (OverflowError, RecursionError, TypeError, ValueError) as error:
            raise ValueError("not a session") from error
        if not all(isinstance(text, str) for text in (id_, subject, name, access, refresh)):
            raise ValueError("not a session")
        return cls(id_, User(subject, name), tokens, created, seen, changes, cookie)
