"""Cross-site requests; the real-browser headers are those of the Fetch Standard."""

from base64 import b64encode
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from extauthz.edge.cookies import expired
from extauthz.edge.credentials import VISITOR, Credential, Kind
from extauthz.edge.csrf import refuse_foreign, refuse_header_cookies, refuse_unexplained
from extauthz.edge.refusals import BadRequest, Forbidden, Refusal
from extauthz.edge.request import Request
from extauthz.edge.site import Site

SITE = Site.of("https://hub.example.org/mlflow")
SESSION = Credential(Kind.SHARINGHUB_SESSION, SecretStr("x"))
TOKEN = Credential(Kind.TOKEN, SecretStr("x"))
BASIC = {"authorization": f"Basic {b64encode(b'ann:glpat-x').decode()}"}
OURS = {"origin": "https://hub.example.org"}
WRITES = ("POST", "PUT", "PATCH", "DELETE")


def request(method: str, headers: Mapping[str, str]) -> Request:
    return Request("17", method, "hub.example.org", "/mlflow/", None, dict(headers))


def verdict(
    method: str, headers: Mapping[str, str], credential: Credential = SESSION
) -> type[Refusal] | None:
    try:
        refuse_foreign(request(method, headers), SITE)
        refuse_unexplained(request(method, headers), credential)
    except Refusal as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize("credential", [SESSION, TOKEN, VISITOR], ids=lambda each: each.kind)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://www.hub.example.org"},
        {"origin": "https://hub.example.org.evil.example"},
        {"origin": "https://hub.example.org:8443"},
        {"origin": "http://hub.example.org"},
        {"origin": "https://HUB.example.org"},
        {"origin": "https://hub.example.org/"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "https://hub.example.org,https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "same-origin,cross-site"},
        OURS | {"sec-fetch-site": "cross-site"},
        OURS | {"sec-fetch-site": "same-site"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
def test_what_another_origin_asks_for_is_refused_whatever_the_credential(
    method: str, credential: Credential, headers: dict[str, str]
) -> None:
    """Threats 62 and 121."""
    assert verdict(method, headers, credential) is Forbidden


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    "headers",
    [OURS, {"sec-fetch-site": "same-origin"}, OURS | {"sec-fetch-site": "same-origin"}],
    ids=str,
)
def test_our_own_pages_may_ask_for_changes(method: str, headers: dict[str, str]) -> None:
    assert verdict(method, headers) is None
    assert verdict(method, headers | BASIC, TOKEN) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_not_judged(method: str) -> None:
    assert verdict(method, {"origin": "https://evil.example"}) is None
    assert verdict(method, {}) is None


@pytest.mark.parametrize("method", WRITES)
def test_a_session_must_be_accompanied_by_where_the_request_comes_from(method: str) -> None:
    """Threat 62."""
    assert verdict(method, {}) is Forbidden
    assert verdict(method, {"sec-fetch-mode": "cors", "referer": SITE.origin}) is Forbidden


def test_a_client_with_a_token_need_not_say_where_it_comes_from() -> None:
    assert verdict("POST", {}, TOKEN) is None
    assert verdict("POST", BASIC, TOKEN) is None


@pytest.mark.parametrize("name", ["sec-fetch-mode", "sec-fetch-dest"])
def test_basic_from_a_browser_is_like_a_session(name: str) -> None:
    """Threat 62: browsers repeat a password that was once typed in, on their own."""
    assert verdict("POST", BASIC | {name: "empty"}, TOKEN) is Forbidden


def ends_of(name: str, path: str = "/mlflow/") -> list[str]:
    """Return what ends a cookie of our own, and one that a sibling has set for both of us."""
    return list(expired(name, SITE, path))


@pytest.mark.parametrize(
    ("cookies", "names"),
    [
        ("mlflow-request-header-Authorization=x", ["mlflow-request-header-Authorization"]),
        ("a=b;mlflow-request-header-X=x; c=d", ["mlflow-request-header-X"]),
        ("a=b,  mlflow-request-header-X=x", ["mlflow-request-header-X"]),
        ("mlflow-request-header-=x", ["mlflow-request-header-"]),
        ("mlflow-request-header-a=1; mlflow-request-header-a=2", ["mlflow-request-header-a"]),
        ("mlflow-request-header-a\x00b=1", ["mlflow-request-header-a"]),
    ],
)
def test_cookies_that_set_headers_are_refused_by_name(cookies: str, names: list[str]) -> None:
    with pytest.raises(BadRequest) as raised:
        refuse_header_cookies(request("GET", {"cookie": cookies}), SITE)
    assert raised.value.cookies == [end for name in names for end in ends_of(name)]


def test_other_cookies_are_left_alone() -> None:
    refuse_header_cookies(request("GET", {"cookie": "mlflow-request=1; request-header-x=2"}), SITE)
    refuse_header_cookies(request("GET", {}), SITE)


def test_an_answer_has_room_for_what_it_ends() -> None:
    many = "; ".join(f"mlflow-request-header-{number}=x" for number in range(500))
    with pytest.raises(BadRequest) as raised:
        refuse_header_cookies(request("GET", {"cookie": many}), SITE)
    assert len(raised.value.cookies) == 60


def test_what_a_sibling_has_set_for_one_project_is_ended_too() -> None:
    ends = ends_of("mlflow-request-header-X", "/mlflow/a/b/tracking/graphql")
    assert "mlflow-request-header-X=; Path=/mlflow/a/b; Max-Age=0; Domain=example.org" in ends
    assert "mlflow-request-header-X=; Path=/mlflow/a/b/; Max-Age=0; Domain=example.org" in ends
    assert len(ends) == len(set(ends)) < 60
