"""What an instance keeps of applications, sign-ins, codes and the tokens made from them."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Application:
    """A registered client. A trusted one never asks for consent."""

    client_id: str
    secret: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class SignIn:
    """A browser's session: who signed in, and when (Unix seconds)."""

    user_id: int
    at: int


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What an application asks a user for. `challenge` is empty without PKCE."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = ""
    nonce: str = ""
    challenge: str = ""
    challenge_method: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code's content."""

    request: AuthorizationRequest
    sign_in: SignIn
    expires: datetime

    @property
    def expired(self) -> bool:
        """Whether the code's time is over."""
        return self.expires <= datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Issued:
    """What stands behind an application's access token.

    `previous` is the access token that this one was refreshed from. `nonce` is empty after a
    refresh: the id_token that comes with it has none.
    """

    access_token: str
    refresh_token: str
    client_id: str
    redirect_uri: str
    sign_in: SignIn
    nonce: str = ""
    previous: str = ""
