"""Signing in while GitLab is down, or says of itself what cannot be: nobody is signed in by it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.stack import Stack, login_gateway
from tests.tenants import Tenants
from tests.visitor import Visitor, asked_of, is_refused, recovers

EVIL = "https://evil.example"
TARGET = "/?x=1"
LOGIN = f"/auth/login?return_to={TARGET}"
FAULTS: dict[str, dict[str, Any]] = {
    "errors": {"effect": "error", "status": 500},
    "errors of a proxy": {"effect": "html", "status": 502},
    "a page for browsers": {"effect": "html", "status": 200},
    "a page that refuses": {"effect": "html", "status": 403},
    "resets": {"effect": "reset"},
    "half an answer": {"effect": "truncate"},
    "too much": {"effect": "huge"},
    "a redirect elsewhere": {"effect": "redirect", "location": "http://127.0.0.1:9/"},
    "throttles": {"effect": "throttle", "seconds": 3},
    "silence": {"effect": "hang"},
}
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "revocation_endpoint")
# {gitlab} stands for its URL.
ELSEWHERE = (
    *(f"{EVIL}/oauth/x", "{gitlab}.evil.example/oauth/x", "{gitlab}@evil.example/oauth/x"),
    *("{gitlab}0/oauth/x", "//evil.example/oauth/x", "/oauth/x", "javascript:alert(1)", "", None),
)
LIES = [
    *((name, address) for name in (*ENDPOINTS, "issuer") for address in ELSEWHERE),
    *(("issuer", address) for address in ("{gitlab}/x", "HTTP://{gitlab}", "{gitlab}?", "gitlab")),
]


@pytest.fixture(scope="module")
def undiscovered(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge that GitLab has never told where to sign in."""
    folder = tmp_path_factory.mktemp("undiscovered")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture
def fresh(whole_stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    """An edge that has not asked GitLab for anything yet."""
    with login_gateway(tmp_path, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture(autouse=True)
def right_again(whole_stack: Stack) -> Iterator[None]:
    """GitLab is right and well again after each test."""
    yield
    whole_stack.gitlab.tamper()
    whole_stack.gitlab.heal()


@pytest.fixture
def visitor(fresh: Stack) -> Visitor:
    return Visitor(fresh, Tenants(fresh).user())


class TestWhileGitLabIsDown:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_a_login_can_be_tried_again_whatever_it_was_asked_for(
        self, visitor: Visitor, fault: str
    ) -> None:
        gitlab = visitor.stack.gitlab
        for step in ("/.well-known/openid-configuration", "/oauth/token", "/oauth/discovery/keys"):
            gitlab.forget_calls()
            gitlab.faults(**FAULTS[fault], path=step)
            way = is_refused(visitor, visitor.visit(LOGIN), 503)
            assert gitlab.calls(step)
            is_refused(visitor, visitor.open(TARGET), 401)
            gitlab.heal()
        recovers(visitor, way, TARGET)

    def test_nobody_forgets_where_he_wanted_to_go(self, visitor: Visitor) -> None:
        visitor.stack.gitlab.faults("error", path="openid-configuration")
        way = is_refused(visitor, visitor.open(LOGIN), 503)
        assert parse_qs(urlsplit(way).query) == {"return_to": [TARGET]}

    def test_nobody_is_signed_in_when_all_of_it_hangs(self, visitor: Visitor) -> None:
        visitor.stack.gitlab.faults("hang")
        is_refused(visitor, visitor.open(LOGIN), 503)
        is_refused(visitor, visitor.open(TARGET), 401)


class TestDiscovery:
    @pytest.mark.parametrize(("name", "address"), LIES)
    def test_that_names_another_server_is_not_believed(
        self, undiscovered: Stack, name: str, address: str | None
    ) -> None:
        gitlab, visitor = undiscovered.gitlab, Visitor(undiscovered, "nobody")
        gitlab.tamper(discovery={name: address and address.format(gitlab=gitlab.url)})
        is_refused(visitor, visitor.open(LOGIN), 503)
        is_refused(visitor, visitor.open(TARGET), 401)
        assert not visitor.handshakes

    def test_does_not_say_where_the_keys_are(self, visitor: Visitor) -> None:
        """Threat 48; nor is anything else of it used than the three endpoints."""
        elsewhere = {
            "jwks_uri": f"{EVIL}/keys",
            "userinfo_endpoint": f"{EVIL}/userinfo",
            "introspection_endpoint": f"{EVIL}/introspect",
            "id_token_signing_alg_values_supported": ["none", "HS256"],
            "code_challenge_methods_supported": ["plain"],
        }
        visitor.stack.gitlab.tamper(discovery=elsewhere)
        authorization = visitor.begin(LOGIN)
        assert asked_of(authorization)["code_challenge_method"] == "S256"
        assert visitor.visit(visitor.sign_in(authorization)).url == visitor.url(TARGET)
