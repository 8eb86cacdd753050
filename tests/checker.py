"""The decision core under an access of a fixed outcome, spoken to in Envoy's messages."""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any

from envoy_data_plane.envoy.config.core.v3 import HeaderMap, HeaderValue, HeaderValueOption
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextRequest,
    CheckRequest,
    CheckResponse,
)

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.check import Checker
from extauthz.edge.credentials import Credential, gitlab_credential, sharinghub_credential
from extauthz.edge.gitlab_login import GitLabLogin
from extauthz.edge.in_session import InSession
from extauthz.edge.login import NoLogin
from extauthz.edge.mint import Mint
from extauthz.edge.provider import User
from extauthz.edge.settings import Settings
from extauthz.edge.sharinghub_login import SharingHubLogin
from extauthz.edge.site import Site
from extauthz.grant import HEADER, Grant, GrantKey, GrantSigner, GrantVerifier, Why
from extauthz.levels import Role

SETTINGS = Settings.load(
    {"GITLAB_URL": "https://gitlab.example.org", "SECRET_KEY": "0123456789abcdef0123456789abcdef"}
)
KEY = GrantKey(SETTINGS.grant_key)
ALICE = User("gitlab:7", "alice")
WRITER = ProjectAccess(ALICE, 42, "acme/vision", Role.WRITE, None)
READER = ProjectAccess(ALICE, 42, "acme/vision", Role.READ, Why.GUEST)
EVERYTHING = GlobalAccess(ALICE, (3, 42))
BEARER = {"authorization": "Bearer glpat-some-token"}
Outcome = ProjectAccess | GlobalAccess | InSession[ProjectAccess] | BaseException


class Outcomes:
    """Access with a fixed outcome, at once or later: what the core must survive."""

    def __init__(self, outcome: Outcome, *, later: bool = False) -> None:
        self.outcome = outcome
        self.later = later
        self.asked: list[str | None] = []

    def in_project(self, credential: Credential, path: str) -> Any:
        self.asked.append(path)
        return self._answer()

    def by_number(self, credential: Credential, number: int) -> Any:
        self.asked.append(str(number))
        return self._answer()

    def everywhere(self, credential: Credential) -> Any:
        self.asked.append(None)
        return self._answer()

    def _answer(self) -> Any:
        if self.later:
            return self._answer_later()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    async def _answer_later(self) -> Outcome:
        await asyncio.sleep(0)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


class Hanging(Outcomes):
    """Access that never answers."""

    async def _answer_later(self) -> Outcome:
        await asyncio.sleep(3600)
        return self.outcome


def checker(
    accesses: Outcomes,
    *,
    deadline: float = 4.5,
    prefix: str = "",
    hub: bool = False,
    login: bool = False,
) -> Checker:
    """Return the core in GitLab mode, or in SharingHub mode with an automatic login."""
    site = Site("http://localhost:5000", prefix)
    by_hub = SharingHubLogin(
        "https://hub.example.org", site, session_cookie="session", automatic=True
    )
    by_gitlab = GitLabLogin(site, automatic=False) if login else NoLogin()
    return Checker(
        accesses,
        Mint(SETTINGS, GrantSigner(KEY)),
        [],
        credential_of=partial(sharinghub_credential, session_cookie="session", site=site)
        if hub
        else partial(gitlab_credential, session_cookie="mlflow-session", site=site),
        login=by_hub if hub else by_gitlab,
        site=site,
        deadline=deadline,
    )


def question(
    path: str = "/acme/vision/tracking/api/2.0/mlflow/experiments/search",
    *,
    method: str = "GET",
    headers: Mapping[str, str] = BEARER,
    host: str = "localhost:5000",
    raw: bool = False,
) -> bytes:
    """Return a question of Envoy's, as bytes."""
    http = AttributeContextHttpRequest(id="17", method=method, path=path, host=host)
    if raw:
        pairs = [HeaderValue(key=key, raw_value=value.encode()) for key, value in headers.items()]
        http.header_map = HeaderMap(headers=pairs)
    else:
        http.headers = dict(headers)
    return bytes(
        CheckRequest(attributes=AttributeContext(request=AttributeContextRequest(http=http)))
    )


async def answer_of(checker: Checker, payload: bytes) -> CheckResponse:
    """Return the answer to a question."""
    pending = checker.check(payload)
    raw = await pending if isinstance(pending, Awaitable) else pending
    assert raw, "an empty answer would allow"
    return CheckResponse.parse(raw)


def granted(answer: CheckResponse) -> tuple[Grant, str]:
    """Return the grant and the path of an OK."""
    assert answer.status is not None
    assert answer.status.code == 0
    assert answer.ok_response is not None
    headers = {
        option.header.key: option.header.value
        for option in answer.ok_response.headers
        if option.header
    }
    return GrantVerifier([KEY], instance=SETTINGS.instance).open(headers[HEADER]), headers[":path"]


def refused(answer: CheckResponse) -> tuple[int, str]:
    """Return status and body of a denial."""
    assert answer.status is not None
    assert answer.status.code != 0
    assert answer.ok_response is None
    assert answer.denied_response is not None
    assert answer.denied_response.status is not None
    return int(answer.denied_response.status.code), answer.denied_response.body


def cookies_in(options: list[HeaderValueOption]) -> list[str]:
    """Return the values of all Set-Cookie among headers."""
    headers = [option.header for option in options if option.header]
    return [header.value for header in headers if header.key == "set-cookie"]
