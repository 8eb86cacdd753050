"""Where SharingHub's login is told to send people back to: our own address, whatever they sent."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.answers import Decision, Deny, Found
from extauthz.edge.refusals import NotFound, Refusal, Unauthenticated
from extauthz.edge.request import Request
from extauthz.edge.scope import Page, scope_of
from extauthz.edge.sharinghub_login import SharingHubLogin
from extauthz.edge.site import Site

HUB = "https://sharinghub.example.org"
SITE = Site.of("https://mlflow.example.org")
BELOW = Site.of("https://sharinghub.example.org/mlflow")
REFUSAL = Unauthenticated("x")
PAGE = {"accept": "text/html", "sec-fetch-mode": "navigate"}


def login(site: Site = SITE, *, automatic: bool = False) -> SharingHubLogin:
    return SharingHubLogin(HUB, site, session_cookie="sharinghub-session", automatic=automatic)


def asked(
    target: str, headers: dict[str, str] | None = None, *, method: str = "GET", host: str = "x"
) -> Request:
    path, mark, query = target.partition("?")
    return Request("17", method, host, path, query if mark else None, PAGE | (headers or {}))


def link_of(decision: Decision) -> str:
    assert isinstance(decision, Deny)
    assert decision.link is not None
    return decision.link.address


def back_from(address: str) -> str:
    """Return the one address that SharingHub would send the browser to."""
    parts = urlsplit(address)
    (back,) = parse_qs(parts.query, strict_parsing=True)["redirect_uri"]
    assert list(parse_qs(parts.query)) == ["redirect_uri"]
    return back


@pytest.mark.parametrize(
    ("page", "way", "back"),
    [
        (Page(None), "login", "https://mlflow.example.org/"),
        (Page(None, "login"), "login", "https://mlflow.example.org/"),
        (Page("a/b", "login"), "login", "https://mlflow.example.org/a/b/tracking/"),
        (Page(None, "logout"), "logout", "https://mlflow.example.org/"),
        (Page("a/b", "logout"), "logout", "https://mlflow.example.org/a/b/tracking/"),
    ],
)
def test_our_pages_lead_to_sharinghubs(page: Page, way: str, back: str) -> None:
    decision = login().page(page, asked("/"))
    assert isinstance(decision, Found)
    assert decision.location.startswith(f"{HUB}/api/auth/{way}?redirect_uri=https%3A%2F%2F")
    assert back_from(decision.location) == back


@pytest.mark.parametrize("name", ["authorize", "p/42"])
def test_other_pages_do_not_exist(name: str) -> None:
    with pytest.raises(NotFound):
        login().page(Page(None, name), asked("/"))


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/a/b/tracking/",
        "/a/b/tracking/?x=1&redirect_uri=https://evil.example/#/x",
        "/a/b/tracking/api/2.0/mlflow-artifacts/artifacts/100%25%26redirect_uri=x",
        "/get-artifact?path=a%2Fb&run_uuid=1",
        "/?",
    ],
)
@pytest.mark.parametrize("site", [SITE, BELOW])
def test_a_page_leads_to_the_login_and_back_to_the_same_view(site: Site, target: str) -> None:
    decision = login(site).refuse(REFUSAL, asked(f"{site.prefix}{target}"))
    assert isinstance(decision, Deny)
    assert (decision.refusal, decision.page) == (REFUSAL, True)
    assert link_of(decision).startswith(f"{HUB}/api/auth/login?")
    assert back_from(link_of(decision)) == f"{site.origin}{site.prefix}{target}"


def test_a_query_that_is_too_long_stays_behind() -> None:
    target = "/a/b/tracking/?x=" + "y" * 4000
    address = link_of(login().refuse(REFUSAL, asked(target)))
    assert back_from(address) == "https://mlflow.example.org/a/b/tracking/"


def test_a_client_gets_no_page() -> None:
    request = asked("/a/b/tracking/", {"accept": "application/json", "sec-fetch-mode": "cors"})
    for automatic in (False, True):
        decision = login(automatic=automatic).refuse(REFUSAL, request)
        assert isinstance(decision, Deny)
        assert not decision.page


def test_a_browser_is_sent_to_the_login_by_itself_where_that_is_set() -> None:
    decision = login(automatic=True).refuse(REFUSAL, asked("/a/b/tracking/?x=1"))
    assert isinstance(decision, Found)
    assert back_from(decision.location) == "https://mlflow.example.org/a/b/tracking/?x=1"
    (cookie,) = decision.cookies
    assert cookie.startswith(
        "__Host-extauthz-login=1; Path=/; Max-Age=30; HttpOnly; SameSite=Lax; Secure"
    )


def test_nobody_is_sent_round_in_circles() -> None:
    """SharingHub sends whoever is logged in straight back, be its cookie of use here or not."""
    request = asked("/a/b/tracking/", {"cookie": "__Host-extauthz-login=1"})
    assert isinstance(login(automatic=True).refuse(REFUSAL, request), Deny)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_only_what_can_be_repeated_is_redirected(method: str) -> None:
    request = asked("/a/b/tracking/", method=method)
    assert isinstance(login(automatic=True).refuse(REFUSAL, request), Deny)


@pytest.mark.parametrize("header", ["authorization", "private-token", "x-gitlab-token"])
def test_who_sent_a_token_is_told_that_it_is_bad(header: str) -> None:
    decision = login(automatic=True).refuse(REFUSAL, asked("/a/b/tracking/", {header: "x"}))
    assert decision == Deny(REFUSAL, page=True, request_id="17")


def test_what_a_visitor_is_not_shown_may_be_there_for_somebody() -> None:
    missing = NotFound("x")
    visitor = login(automatic=True).refuse(missing, asked("/a/b/tracking/?x=1"))
    assert back_from(link_of(visitor)) == "https://mlflow.example.org/a/b/tracking/?x=1"
    known = asked("/a/b/tracking/", {"cookie": "sharinghub-session=x"})
    assert login().refuse(missing, known) == Deny(missing, page=True, request_id="17")
    nowhere = asked("/nowhere")
    assert login().refuse(missing, nowhere) == Deny(missing, page=True, request_id="17")


def test_a_session_that_is_of_no_use_is_ended_first() -> None:
    request = asked("/a/b/tracking/?x=1", {"cookie": "sharinghub-session=ended"})
    way = link_of(login().refuse(REFUSAL, request))
    assert way.startswith(f"{HUB}/api/auth/logout?")
    assert back_from(way) == "https://mlflow.example.org/a/b/tracking/auth/login"


HOSTILE = [
    *("//evil.example/tracking/", "/\\evil.example/x/tracking/", "/%09/evil.example/tracking/"),
    *("/%2f%2fevil.example/tracking/", "/.evil.example/a/tracking/", "/@evil.example/a/tracking/"),
    *("https://evil.example/a/b/tracking/", "@evil.example", ".evil.example/", ":80@evil.example/"),
    *("/a/b/tracking//evil.example", "/a/b/tracking/?//evil.example", "/a/b/tracking/%0d%0aX: y"),
    *("/?\r\nSet-Cookie: x=1", "/?redirect_uri=//evil.example", "/?next=https:evil.example"),
    *(
        "/a/b/tracking/?&redirect_uri=https://evil.example",
        "/?#@evil.example",
        "/?\t//evil.example",
    ),
    *("javascript:alert(1)", "/a/b/tracking/;//evil.example", "/?%0d%0aLocation:%20//evil.example"),
    *("/a/b/tracking/?x=\u202egro.elpmaxe", "/\u2215evil.example/a/tracking/", "/?\x00"),
]


@pytest.mark.parametrize("site", [SITE, BELOW])
@pytest.mark.parametrize("target", HOSTILE)
def test_no_target_leads_elsewhere(site: Site, target: str) -> None:
    leads_home(site, target, host="evil.example")


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_text_leads_elsewhere(target: str, host: str) -> None:
    leads_home(SITE, target, host=host)
    leads_home(SITE, f"/a/b/tracking/?{target}", host=host)


def leads_home(site: Site, target: str, *, host: str) -> None:
    """Hold that a request is either malformed, or answered with addresses of ours."""
    request = asked(target, {"host": host, "x-forwarded-host": host}, host=host)
    try:
        scope = scope_of(request.path, prefix=site.prefix)
        if isinstance(scope, Page):
            decisions = [login(site).page(scope, request)]
        else:
            decisions = [login(site, automatic=on).refuse(REFUSAL, request) for on in (True, False)]
    except Refusal:
        return
    for decision in decisions:
        address = decision.location if isinstance(decision, Found) else ""
        if isinstance(decision, Deny):
            address = decision.link.address if decision.link else ""
        if address:
            assert address.isascii()
            assert address.isprintable()
            assert urlsplit(address).netloc == "sharinghub.example.org"
            assert back_from(address).startswith(f"{site.origin}{site.prefix}/")
