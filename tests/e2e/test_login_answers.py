"""What GitLab answers to a login: is it wrong, a page says so, and nobody is signed in.

Then GitLab is right again, and the page's own link leads to a session.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.gitlab import DEVELOPER
from tests.servers.stack import Stack, login_gateway
from tests.tenants import Project, Tenants
from tests.visitor import Visitor, asked_of, changed, is_page, is_refused, recovers

EVIL = "https://evil.example"
JWK = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
# {gitlab} and {client} stand for GitLab's URL and our application's id.
UNTRUSTED: dict[str, dict[str, Any]] = {
    # Threat 52, CVE-2026-114617.
    "another nonce": {"claims": {"nonce": "of-another-login"}},
    "a list as the nonce": {"claims": {"nonce": ["of-another-login"]}},
    "an empty nonce": {"claims": {"nonce": ""}},
    "no nonce": {"claims": {"nonce": None}},
    "no nonce, said to be unsupported": {"claims": {"nonce": None, "nonce_supported": False}},
    "another nonce, said to be unsupported": {"claims": {"nonce": "x", "nonce_supported": False}},
    "another audience": {"claims": {"aud": "of-another-application"}},
    "other audiences": {"claims": {"aud": ["of-another-application", "and-another"]}},
    "no audience": {"claims": {"aud": None}},
    "an empty audience": {"claims": {"aud": []}},
    "an audience more": {"claims": {"aud": ["{client}", "of-another-application"]}},
    # OpenID Connect Core, 3.1.3.7 (3): audiences that we do not trust.
    "an audience more, by us": {
        "claims": {"aud": ["{client}", "of-another-application"], "azp": "{client}"}
    },
    "another authorized party": {"claims": {"azp": "of-another-application"}},
    "another issuer": {"claims": {"iss": EVIL}},
    "no issuer": {"claims": {"iss": None}},
    "an issuer that looks alike": {"claims": {"iss": "{gitlab}.evil.example"}},
    "an issuer with a name before us": {"claims": {"iss": "{gitlab}@evil.example"}},
    "an issuer below us": {"claims": {"iss": "{gitlab}/evil"}},
    "a list of issuers": {"claims": {"iss": ["{gitlab}", EVIL]}},
    "nobody": {"claims": {"sub": None}},
    "a subject that is no number": {"claims": {"sub": "ann@example.com"}},
    "a number as the subject": {"claims": {"sub": 7}},
    "another access token's hash": {"claims": {"at_hash": "x" * 22}},
    # Threat 48: CVE-2026-28802, CVE-2026-27962, CVE-2026-96760, CVE-2026-114615, CVE-2026-114616.
    "a key that is not published": {"unpublished_key": True},
    "no signature": {"algorithm": "none"},
    "the public key as a secret": {"algorithm": "HS256"},
    "no signature, said to be one": {"algorithm": "none", "header": {"alg": "RS256"}},
    "a key of its own": {"header": {"jwk": JWK}},
    "a key of its own that signed it": {"header": {"jwk": JWK}, "unpublished_key": True},
    "keys elsewhere": {"header": {"jku": f"{EVIL}/keys"}},
    "a certificate elsewhere": {"header": {"x5u": f"{EVIL}/certificate"}},
    "a certificate of its own": {"header": {"x5c": ["AAAA"]}},
    "critical extensions": {"header": {"crit": ["b64"], "b64": True}},
    "no key id": {"header": {"kid": None}},
    "no algorithm": {"algorithm": "none", "header": {"alg": None}},
    "expired": {"claims": {"exp": 1}},
    "no end": {"claims": {"exp": None}},
    "no beginning": {"claims": {"iat": None}},
    "made in the future": {"claims": {"iat": 4_000_000_000, "exp": 4_000_000_120}},
    "for later": {"claims": {"nbf": 4_000_000_000}},
    "times that are none": {"claims": {"exp": "tomorrow", "iat": "today"}},
    "a clock an hour fast": {"clock_skew": 3_600},
    "a clock an hour slow": {"clock_skew": -3_600},
    "a clock a minute fast": {"clock_skew": 60},
    "no id_token": {"token_response": {"id_token": None}},
    "an id_token that is none": {"token_response": {"id_token": "made-up"}},
    "an id_token that is no text": {"token_response": {"id_token": {"sub": "7"}}},
    "three empty parts": {"token_response": {"id_token": ".."}},
}
UNUSABLE: dict[str, dict[str, Any]] = {
    "no access token": {"access_token": None},
    "an empty access token": {"access_token": ""},
    "an access token that is no text": {"access_token": ["x"]},
    "no refresh token": {"refresh_token": None},
    "an empty refresh token": {"refresh_token": ""},
    "another type": {"token_type": "mac"},
    "no type": {"token_type": None},
    "no life": {"expires_in": 0},
    "a life before now": {"expires_in": -7_200},
    "no end": {"expires_in": None},
    "an end in words": {"expires_in": "7200"},
    "tokens too large for a cookie": {"access_token": "x" * 4_000},
}
REFUSALS = (
    # RFC 6749, 4.1.2.1, and OpenID Connect Core, 3.1.2.6.
    *("invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type"),
    *("invalid_scope", "server_error", "temporarily_unavailable", "interaction_required"),
    *("login_required", "account_selection_required", "consent_required", "invalid_request_uri"),
    *("invalid_request_object", "request_not_supported", "registration_not_supported"),
    *("made_up", "'\"><script>alert(1)</script>", "x" * 2_000, "\x00"),
)


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login, of these tests alone: GitLab is wrong in them."""
    folder = tmp_path_factory.mktemp("answers")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture(autouse=True)
def right_again(front: Stack) -> Iterator[None]:
    """GitLab is right and well again after each test."""
    yield
    front.gitlab.tamper()
    front.gitlab.heal()


@pytest.fixture
def project(front: Stack) -> Project:
    return Tenants(front).project()


@pytest.fixture
def target(project: Project) -> str:
    """What the visitor came for."""
    return f"/{project.path}/tracking/?x=1"


@pytest.fixture
def visitor(front: Stack, project: Project) -> Visitor:
    return Visitor(front, project.member(DEVELOPER))


def filled(knobs: Any, **words: str) -> Any:
    """Return the knobs with the words in place of their names."""
    match knobs:
        case dict():
            return {name: filled(value, **words) for name, value in knobs.items()}
        case list():
            return [filled(value, **words) for value in knobs]
        case str() if "{" in knobs:
            return knobs.format(**words)
    return knobs


@pytest.mark.parametrize("knobs", UNTRUSTED.values(), ids=UNTRUSTED)
def test_an_id_token_that_is_not_to_be_trusted_signs_nobody_in(
    visitor: Visitor, target: str, knobs: dict[str, Any]
) -> None:
    gitlab = visitor.stack.gitlab
    way = is_refused(visitor, visitor.open(target), 401)
    authorization = visitor.begin(way)
    callback = visitor.sign_in(authorization)
    client = asked_of(authorization)["client_id"]
    gitlab.tamper(**filled(knobs, gitlab=gitlab.url, client=client))
    shown = visitor.open(callback)
    way = is_refused(visitor, shown, 403)
    assert "could not be trusted" in shown.text
    recovers(visitor, way, target)


def test_an_id_token_of_an_unknown_key_signs_nobody_in(visitor: Visitor, target: str) -> None:
    """Threat 48: the token does not say where its key is."""
    callback = visitor.sign_in(visitor.begin(f"/auth/login?return_to={target}"))
    visitor.stack.gitlab.tamper(header={"kid": "unknown"})
    shown = visitor.open(callback)
    way = is_refused(visitor, shown, shown.status)
    # 503 where the keys were read just now.
    assert shown.status in (403, 503)
    recovers(visitor, way, target)


@pytest.mark.parametrize("seconds", [-20, 20])
def test_a_clock_that_is_a_little_wrong_does_no_harm(
    visitor: Visitor, target: str, seconds: int
) -> None:
    visitor.stack.gitlab.tamper(clock_skew=seconds)
    assert visitor.visit(f"/auth/login?return_to={target}").url == visitor.url(target)


def test_a_member_of_many_groups_can_sign_in(visitor: Visitor, target: str) -> None:
    """GitLab lists all of somebody's groups in the id_token of a login."""
    groups = [f"department-{number}/team-with-a-long-name" for number in range(500)]
    visitor.stack.gitlab.tamper(claims={"groups_direct": groups})
    assert visitor.visit(f"/auth/login?return_to={target}").url == visitor.url(target)


def test_an_id_token_about_somebody_else_than_the_access_token_opens_nothing(
    visitor: Visitor, project: Project, target: str
) -> None:
    """Threat 64: the session is whose GitLab's token is, whoever is named beside it."""
    other = project.member(DEVELOPER)
    number = visitor.stack.gitlab.change("update_user", username=other, external=False)["id"]
    visitor.stack.gitlab.tamper(claims={"sub": str(number), "nickname": other})
    shown = visitor.visit(f"/auth/login?return_to={target}")
    assert shown.status == 401
    assert visitor.open("/", headers=()).status == 401
    is_page(visitor.open("/auth/"), 401)


@pytest.mark.parametrize("fields", UNUSABLE.values(), ids=UNUSABLE)
def test_tokens_that_cannot_be_used_sign_nobody_in(
    visitor: Visitor, target: str, fields: dict[str, Any]
) -> None:
    callback = visitor.sign_in(visitor.begin(f"/auth/login?return_to={target}"))
    visitor.stack.gitlab.tamper(token_response=fields)
    way = is_refused(visitor, visitor.open(callback), 503)
    recovers(visitor, way, target)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_an_application_that_gitlab_refuses_is_the_administrators_business(
    visitor: Visitor, target: str, status: int
) -> None:
    callback = visitor.sign_in(visitor.begin(f"/auth/login?return_to={target}"))
    visitor.stack.gitlab.faults("error", path="/oauth/token", status=status)
    shown = visitor.open(callback)
    way = is_refused(visitor, shown, 503)
    assert "Tell your administrator" in shown.text
    recovers(visitor, way, target)


class TestTheCode:
    @pytest.mark.parametrize(
        "code", [None, "", "made-up", "\x00", "é", "x" * 4_000, "a&grant_type=b"]
    )
    def test_that_gitlab_does_not_know_signs_nobody_in(
        self, visitor: Visitor, target: str, code: str | None
    ) -> None:
        callback = visitor.sign_in(visitor.begin(f"/auth/login?return_to={target}"))
        shown = visitor.open(changed(callback, code=code))
        way = is_refused(visitor, shown, shown.status)
        assert shown.status in (400, 401)
        recovers(visitor, way, target)

    def test_that_is_too_old_signs_nobody_in(self, visitor: Visitor, target: str) -> None:
        visitor.stack.gitlab.tamper(code_lifetime=0)
        callback = visitor.sign_in(visitor.begin(f"/auth/login?return_to={target}"))
        way = is_refused(visitor, visitor.open(callback), 401)
        recovers(visitor, way, target)


class TestRefusalsOfGitLab:
    def test_whoever_does_not_consent_is_told_so(self, visitor: Visitor, target: str) -> None:
        shown = visitor.visit(f"/auth/login?return_to={target}", consent=False)
        way = is_refused(visitor, shown, 403)
        assert "You did not allow MLflow" in shown.text
        assert not visitor.handshakes
        recovers(visitor, way, target)

    @pytest.mark.parametrize("error", REFUSALS)
    def test_each_is_explained_and_none_is_repeated(
        self, visitor: Visitor, target: str, error: str
    ) -> None:
        """Threat 63: what comes with them is not ours to show."""
        said = {"error_description": "Call 555-0100 <b>now</b>", "error_uri": f"{EVIL}/help"}
        visitor.stack.gitlab.tamper(callback={"error": error, "code": None, **said})
        shown = visitor.visit(f"/auth/login?return_to={target}")
        way = is_refused(visitor, shown, 403)
        assert not [word for word in (error, "555-0100", "evil.example") if word in shown.text]
        recovers(visitor, way, target)

    def test_beside_a_code_count(self, visitor: Visitor, target: str) -> None:
        visitor.stack.gitlab.forget_calls()
        visitor.stack.gitlab.tamper(callback={"error": "server_error"})
        way = is_refused(visitor, visitor.visit(f"/auth/login?return_to={target}"), 403)
        assert not visitor.stack.gitlab.calls("/oauth/token")
        recovers(visitor, way, target)


class TestTheIssuerOfTheAnswer:
    """Threat 54, mix-up: RFC 9207."""

    @pytest.mark.parametrize(
        "issuer", ["", EVIL, "{gitlab}.evil.example", "{gitlab}@evil.example", "{gitlab}/x"]
    )
    @pytest.mark.parametrize("error", [None, "access_denied"])
    def test_must_be_our_gitlab(
        self, visitor: Visitor, target: str, issuer: str, error: str | None
    ) -> None:
        gitlab = visitor.stack.gitlab
        gitlab.forget_calls()
        gitlab.tamper(callback={"iss": issuer.format(gitlab=gitlab.url), "error": error})
        shown = visitor.visit(f"/auth/login?return_to={target}")
        way = is_refused(visitor, shown, 403)
        assert "did not come from our GitLab" in shown.text
        assert not gitlab.calls("/oauth/token")
        recovers(visitor, way, target)

    def test_may_be_named(self, visitor: Visitor, target: str) -> None:
        visitor.stack.gitlab.tamper(callback={"iss": visitor.stack.gitlab.url})
        assert visitor.visit(f"/auth/login?return_to={target}").url == visitor.url(target)
