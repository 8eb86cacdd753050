"""A client of the demo GitLab's OpenID Connect: one application and what it keeps."""

import hashlib
import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.gitlab import GitLab
from tests.gitlab_browser import Browser

CALLBACK = "http://localhost:5000/auth/authorize"
VERIFIER = "a-verifier-that-nobody-else-would-think-of-by-chance"
SCOPE = "openid profile email read_user api"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, its JSON and its headers (names in lower case)."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """An application, registered at a GitLab."""

    gitlab: GitLab
    client_id: str
    secret: str

    @classmethod
    def registered(cls, gitlab: GitLab, **options: Any) -> "Client":
        return cls(gitlab, *gitlab.create_application([CALLBACK], **options))

    def url(self, **changes: str | None) -> str:
        """Return an authorization URL; a parameter that is None is left out."""
        parameters = {
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": SCOPE,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        query = {name: value for name, value in parameters.items() if value is not None}
        return f"{self.gitlab.url}/oauth/authorize?{urlencode(query)}"

    def code(self, user: str = "ann", browser: Browser | None = None, **changes: str | None) -> str:
        callback = self.gitlab.sign_in(self.url(**changes), user, browser=browser)
        return parameters_of(callback)["code"]

    def redeem(self, code: str, /, **changes: str | None) -> Answer:
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.post("token", **{**given, "code_verifier": VERIFIER, **changes})

    def sign_in(self, user: str = "ann", **changes: str | None) -> dict[str, Any]:
        """Return the token response of a whole login."""
        callback = self.gitlab.sign_in(self.url(**changes), user)
        answer = self.redeem(parameters_of(callback)["code"])
        assert answer.status == 200, answer
        return answer.body

    def refresh(self, refresh_token: str, /, **changes: str | None) -> Answer:
        given = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.post("token", **{**given, "redirect_uri": CALLBACK, **changes})

    def post(self, endpoint: str, **form: str | None) -> Answer:
        """Post to one of the OAuth endpoints, with the secret in the form."""
        given = {"client_id": self.client_id, "client_secret": self.secret, **form}
        fields = {name: value for name, value in given.items() if value is not None}
        return send(f"{self.gitlab.url}/oauth/{endpoint}", form=fields)

    def post_basic(self, endpoint: str, secret: str, **form: str) -> Answer:
        """Post with the secret in the Authorization header."""
        basic = b64encode(f"{self.client_id}:{secret}".encode()).decode()
        return send(
            f"{self.gitlab.url}/oauth/{endpoint}", form=form, authorization=f"Basic {basic}"
        )

    def get(self, path: str, token: str = "") -> Answer:
        return send(f"{self.gitlab.url}{path}", authorization=f"Bearer {token}" if token else "")

    def jwks(self) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = self.get("/oauth/discovery/keys").body["keys"]
        return keys

    def verified(self, id_token: str) -> dict[str, Any]:
        """Return the claims of a token that one of the published keys signed, by RS256 only."""
        keys: Any = {"keys": self.jwks()}
        return jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=["RS256"]).claims


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def parameters_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def send(url: str, form: dict[str, str] | None = None, authorization: str = "") -> Answer:
    data = None if form is None else urlencode(form).encode()
    headers = {"Authorization": authorization} if authorization else {}
    try:
        answer: Any = urlopen(Request(url, data, headers), timeout=30)
    except HTTPError as error:
        answer = error
    with answer:
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, json.load(answer), names)
