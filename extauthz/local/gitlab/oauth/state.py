"""What an instance keeps for OAuth and OpenID Connect."""

from extauthz.local.gitlab.oauth.keys import KeyRing
from extauthz.local.gitlab.oauth.records import Application, Code, Issued, SignIn
from extauthz.local.gitlab.oauth.tampering import Tampering


class OAuth:
    """Applications by client id, browser sessions by cookie, codes, and issued tokens."""

    def __init__(self) -> None:
        self.applications: dict[str, Application] = {}
        self.sign_ins: dict[str, SignIn] = {}
        self.codes: dict[str, Code] = {}
        self.issued: dict[str, Issued] = {}
        self.keys = KeyRing()
        self.tampering = Tampering()
        self._access_tokens: dict[str, str] = {}

    def keep(self, issued: Issued) -> None:
        """Keep what was issued, to be found by either of its tokens."""
        self.issued[issued.access_token] = issued
        self._access_tokens[issued.refresh_token] = issued.access_token

    def refreshed_by(self, refresh_token: str) -> Issued | None:
        """Return what a refresh token was issued with."""
        return self.issued.get(self._access_tokens.get(refresh_token, ""))

    def behind(self, token: str) -> Issued | None:
        """Return what an access or refresh token was issued with."""
        return self.issued.get(token) or self.refreshed_by(token)
