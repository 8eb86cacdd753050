"""Where a refused browser is shown the way to GitLab, and where it is not."""

from urllib.parse import parse_qs, urlsplit

import pytest

from extauthz.edge.answers import Decision, Deny, Found, ToPages
from extauthz.edge.gitlab_login import GitLabLogin
from extauthz.edge.refusals import Forbidden, NotFound, Unauthenticated, Unavailable
from extauthz.edge.request import Request
from extauthz.edge.scope import Page
from extauthz.edge.site import Site

ROOT = Site.of("https://mlflow.example.org")
BELOW = Site.of("https://sharinghub.example.org/mlflow")
REFUSAL = Unauthenticated("Set MLFLOW_TRACKING_TOKEN.")
NAVIGATION = {"accept": "text/html", "sec-fetch-mode": "navigate"}
sites = pytest.mark.parametrize("site", [ROOT, BELOW])


def asked(site: Site, target: str, *, method: str = "GET", **headers: str) -> Request:
    path, mark, query = f"{site.prefix}{target}".partition("?")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("17", method, "x", path, query if mark else None, NAVIGATION | named)


def way_in(decision: Decision, site: Site) -> str:
    """Return the target that the login in a decision leads back to."""
    if isinstance(decision, Deny):
        assert decision.link is not None
        address = decision.link.address
    else:
        assert isinstance(decision, Found)
        address = decision.location
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}" == site.origin
    assert parts.path == f"{site.prefix}/auth/login"
    (target,) = parse_qs(parts.query, strict_parsing=True)["return_to"]
    return target


@sites
def test_a_person_is_shown_the_way_in_and_back(site: Site) -> None:
    login = GitLabLogin(site, automatic=False)
    decision = login.refuse(REFUSAL, asked(site, "/a/b/tracking/?x=1&y=%20"))
    assert way_in(decision, site) == f"{site.prefix}/a/b/tracking/?x=1&y=%20"


@sites
def test_a_person_is_sent_there_at_once_where_that_is_set(site: Site) -> None:
    login = GitLabLogin(site, automatic=True)
    decision = login.refuse(REFUSAL, asked(site, "/"))
    assert isinstance(decision, Found)
    assert way_in(decision, site) == f"{site.prefix}/"


@sites
def test_whoever_comes_back_as_nobody_is_not_sent_round_in_circles(site: Site) -> None:
    login = GitLabLogin(site, automatic=True)
    first = login.refuse(REFUSAL, asked(site, "/"))
    assert isinstance(first, Found)
    (cookie,) = first.cookies
    second = login.refuse(REFUSAL, asked(site, "/", cookie=cookie.partition(";")[0]))
    assert isinstance(second, Deny)
    assert way_in(second, site) == f"{site.prefix}/"


def test_a_person_without_a_session_is_not_told_of_tokens() -> None:
    login = GitLabLogin(ROOT, automatic=False)
    welcome = login.refuse(REFUSAL, asked(ROOT, "/"))
    ended = Unauthenticated("Your session has ended.")
    told = login.refuse(ended, asked(ROOT, "/", cookie="__Host-mlflow-session=x"))
    assert isinstance(welcome, Deny)
    assert isinstance(told, Deny)
    assert "TOKEN" not in welcome.refusal.message
    assert told.refusal is ended


@pytest.mark.parametrize("automatic", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "application/json", "sec_fetch_mode": "cors"},
        {"accept": "*/*", "sec_fetch_mode": ""},
        {"authorization": "Bearer made-up"},
        {"private_token": "made-up"},
        {"x_gitlab_token": "made-up"},
    ],
)
def test_a_program_is_told_and_never_sent_to_a_login(
    headers: dict[str, str], *, automatic: bool
) -> None:
    """Threat 61: a script that is redirected shows its user a page as an error."""
    login = GitLabLogin(ROOT, automatic=automatic)
    decision = login.refuse(REFUSAL, asked(ROOT, "/a/b/tracking/", **headers))
    assert isinstance(decision, Deny)
    assert (decision.refusal, decision.link) == (REFUSAL, None)


@pytest.mark.parametrize("within", ["iframe", "frame", "embed", "object"])
def test_nobody_is_sent_to_gitlab_within_another_page(within: str) -> None:
    """GitLab refuses to be framed, so the frame would stay blank."""
    request = asked(ROOT, "/a/b/tracking/", sec_fetch_dest=within)
    decision = GitLabLogin(ROOT, automatic=True).refuse(REFUSAL, request)
    assert way_in(decision, ROOT) == "/a/b/tracking/"
    assert isinstance(decision, Deny)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_only_what_can_be_repeated_is_sent_to_a_login(method: str) -> None:
    request = asked(ROOT, "/a/b/tracking/", method=method)
    assert isinstance(GitLabLogin(ROOT, automatic=True).refuse(REFUSAL, request), Deny)


def test_a_refusal_keeps_the_cookies_of_a_refreshed_session() -> None:
    """A refresh token works once: a refusal that forgot the new one would end the session."""
    refusal = Unauthenticated("x", cookies=["__Host-mlflow-session=new"])
    for automatic in (True, False):
        decision = GitLabLogin(ROOT, automatic=automatic).refuse(refusal, asked(ROOT, "/"))
        cookies = decision.cookies if isinstance(decision, Found) else refusal_of(decision).cookies
        assert "__Host-mlflow-session=new" in cookies


def refusal_of(decision: Decision) -> Unauthenticated:
    assert isinstance(decision, Deny)
    assert isinstance(decision.refusal, Unauthenticated)
    return decision.refusal


def test_what_is_not_there_leads_to_what_is() -> None:
    decision = GitLabLogin(BELOW, automatic=True).refuse(NotFound("x"), asked(BELOW, "/"))
    assert isinstance(decision, Deny)
    assert decision.link is not None
    assert decision.link.address == "https://sharinghub.example.org/mlflow/auth/"


@pytest.mark.parametrize("refusal", [Forbidden("x"), Unavailable("x")])
def test_what_signing_in_does_not_help_leads_nowhere(refusal: Forbidden | Unavailable) -> None:
    decision = GitLabLogin(ROOT, automatic=True).refuse(refusal, asked(ROOT, "/"))
    assert decision == Deny(refusal, page=True, request_id="17")


def test_a_path_that_means_nothing_leads_nowhere() -> None:
    decision = GitLabLogin(ROOT, automatic=True).refuse(REFUSAL, asked(ROOT, "/a/../b"))
    assert decision == Deny(REFUSAL, page=True, request_id="17")


@sites
@pytest.mark.parametrize("name", ["", "login", "authorize", "logout"])
def test_pages_are_let_pass_as_they_were_asked_for(site: Site, name: str) -> None:
    request = asked(site, f"/auth/{name}?x=%2F")
    decision = GitLabLogin(site, automatic=False).page(Page(None, name), request)
    assert decision == ToPages(f"{site.prefix}/auth/{name}?x=%2F")


@sites
def test_the_pages_of_a_project_are_at_the_root(site: Site) -> None:
    request = asked(site, "/a/b/tracking/auth/login")
    decision = GitLabLogin(site, automatic=False).page(Page("a/b", "login"), request)
    assert decision == Found(f"{site.origin}{site.prefix}/auth/login?project=a%2Fb")
