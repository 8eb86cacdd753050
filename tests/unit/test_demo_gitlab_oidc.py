from time import time
from urllib.parse import urlencode

import pytest

from extauthz.local.gitlab.world import CLIENT_ID, CLIENT_SECRET
from tests.gitlab import DEVELOPER, MAINTAINER, OWNER, GitLab
from tests.gitlab_browser import Browser, PageShown
from tests.oidc_client import CALLBACK, VERIFIER, Client, challenge_of, parameters_of


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    running.create_user("ann")
    return running


@pytest.fixture
def client(gitlab: GitLab) -> Client:
    return Client.registered(gitlab)


def test_discovery_tells_where_everything_is(client: Client) -> None:
    document = client.get("/.well-known/openid-configuration").body

    base = client.gitlab.url
    assert document["issuer"] == base
    assert document["authorization_endpoint"] == f"{base}/oauth/authorize"
    assert document["token_endpoint"] == f"{base}/oauth/token"
    assert document["userinfo_endpoint"] == f"{base}/oauth/userinfo"
    assert document["revocation_endpoint"] == f"{base}/oauth/revoke"
    assert document["jwks_uri"] == f"{base}/oauth/discovery/keys"
    assert "S256" in document["code_challenge_methods_supported"]
    assert "end_session_endpoint" not in document


def test_a_login_ends_at_the_callback_with_a_code_and_the_state(client: Client) -> None:
    callback = client.gitlab.sign_in(client.url(), "ann")

    assert callback.startswith(f"{CALLBACK}?")
    assert parameters_of(callback).keys() == {"code", "state"}
    assert parameters_of(callback)["state"] == "the-state"


def test_a_callback_with_a_query_keeps_it(gitlab: GitLab) -> None:
    callback = f"{CALLBACK}?from=gitlab"
    client = Client(gitlab, *gitlab.create_application([callback]))

    url = gitlab.sign_in(client.url(redirect_uri=callback), "ann")
    assert url.startswith(f"{callback}&code=")


def test_the_id_token_says_who_signed_in_and_when(client: Client) -> None:
    gitlab = client.gitlab
    gitlab.create_project("acme/vision/detector")
    gitlab.add_member("acme", "ann", DEVELOPER)
    before = int(time())

    claims = client.verified(client.sign_in()["id_token"])

    assert (claims["iss"], claims["aud"]) == (gitlab.url, client.client_id)
    assert (claims["sub"], claims["nonce"]) == ("1", "the-nonce")
    assert before <= claims["auth_time"] <= claims["iat"] <= time()
    assert claims["exp"] - claims["iat"] == 120
    assert (claims["nickname"], claims["preferred_username"], claims["name"]) == (
        ("ann", "ann", "Ann")
    )
    assert (claims["email"], claims["email_verified"]) == ("ann@example.com", True)
    assert claims["groups_direct"] == ["acme"]
    assert "groups" not in claims


def test_without_the_scope_email_no_address_is_told(client: Client) -> None:
    claims = client.verified(client.sign_in(scope="openid profile")["id_token"])

    assert {"email", "email_verified"}.isdisjoint(claims)


def test_without_the_scope_openid_there_is_no_id_token(client: Client) -> None:
    assert "id_token" not in client.sign_in(scope="api")


def test_userinfo_has_the_groups_that_the_id_token_has_not(client: Client) -> None:
    gitlab = client.gitlab
    gitlab.create_project("acme/vision/detector")
    gitlab.create_group("guests")
    gitlab.add_member("acme", "ann", MAINTAINER)
    gitlab.add_member("guests", "ann", OWNER)

    body = client.get("/oauth/userinfo", client.sign_in()["access_token"]).body

    assert (body["sub"], body["nickname"], body["email"]) == ("1", "ann", "ann@example.com")
    assert sorted(body["groups"]) == ["acme", "acme/vision", "guests"]
    assert body["https://gitlab.org/claims/groups/maintainer"] == ["acme"]
    assert body["https://gitlab.org/claims/groups/owner"] == ["guests"]
    assert "https://gitlab.org/claims/groups/developer" not in body
    assert "auth_time" not in body


def test_userinfo_needs_a_usable_token_with_openid(client: Client) -> None:
    api = client.sign_in(scope="api")["access_token"]
    blocked = client.sign_in()["access_token"]

    assert client.get("/oauth/userinfo", api).body["error"] == "insufficient_scope"
    assert client.get("/oauth/userinfo").status == 401
    client.gitlab.block("ann")
    assert client.get("/oauth/userinfo", blocked).status == 401


def test_consent_is_remembered_until_its_tokens_are_revoked(client: Client) -> None:
    browser = Browser(client.gitlab.url)
    body = client.redeem(client.code(browser=browser)).body

    page = browser.open(client.url())
    assert page.location.startswith(CALLBACK)
    assert client.post("revoke", token=body["refresh_token"]).status == 200
    assert "Authorize MLflow?" in browser.open(client.url()).text


def test_consent_is_asked_again_for_other_scopes(client: Client) -> None:
    browser = Browser(client.gitlab.url)
    client.redeem(client.code(browser=browser, scope="openid"))

    assert "Authorize MLflow?" in browser.open(client.url()).text


def test_a_trusted_application_is_never_asked_about(gitlab: GitLab) -> None:
    client, browser = Client.registered(gitlab, trusted=True), Browser(gitlab.url)

    client.code(browser=browser)
    assert "code" in parameters_of(browser.open(client.url(scope="openid")).location)


def test_a_refused_consent_goes_back_as_access_denied(client: Client) -> None:
    callback = client.gitlab.sign_in(client.url(), "ann", consent=False)

    parameters = parameters_of(callback)
    assert (parameters["error"], parameters["state"]) == ("access_denied", "the-state")
    assert parameters["error_description"]
    assert "code" not in parameters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": "nobody"}, "unknown client"),
        ({"client_id": None}, "client_id"),
        ({"redirect_uri": f"{CALLBACK}/"}, "redirect uri"),
        ({"redirect_uri": None}, "redirect uri"),
        ({"response_type": None}, "response_type"),
        ({"response_type": "token"}, "response type"),
        ({"response_mode": "form_post"}, "response mode"),
        ({"scope": "openid sudo"}, "scope"),
        ({"code_challenge_method": None}, "code_challenge_method"),
        ({"code_challenge_method": "S512"}, "code_challenge_method"),
    ],
)
def test_a_malformed_request_stays_on_an_error_page_as_in_gitlab(
    client: Client, changes: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(PageShown, match=reason):
        client.gitlab.sign_in(client.url(**changes), "ann")


def test_a_forged_consent_is_checked_like_the_request(client: Client) -> None:
    browser = Browser(client.gitlab.url)
    client.code(browser=browser)

    form = parameters_of(client.url(redirect_uri="http://evil.example/"))
    page = browser.open(f"{client.gitlab.url}/oauth/authorize", form)
    assert (page.location, "redirect uri" in page.text) == ("", True)


def test_consent_without_a_session_leads_to_the_sign_in_page(client: Client) -> None:
    page = Browser(client.gitlab.url).open(
        f"{client.gitlab.url}/oauth/authorize", parameters_of(client.url())
    )

    assert page.location == f"{client.gitlab.url}/users/sign_in"


@pytest.mark.parametrize(("state", "words"), [("blocked", "blocked"), ("deactivated", "deactiv")])
def test_a_user_who_may_not_sign_in_is_told_so(client: Client, state: str, words: str) -> None:
    client.gitlab.update_user("ann", state=state)

    with pytest.raises(PageShown, match=words):
        client.gitlab.sign_in(client.url(), "ann")


def test_blocking_ends_the_session_in_the_browser(client: Client) -> None:
    browser = Browser(client.gitlab.url)
    client.redeem(client.code(browser=browser))
    client.gitlab.block("ann")

    assert "/users/sign_in" in browser.open(client.url()).location


def test_somebody_unknown_does_not_get_in(gitlab: GitLab) -> None:
    browser = Browser(gitlab.url)

    page = browser.open(f"{gitlab.url}/users/sign_in", {"username": "eve"})
    assert (page.status, page.location) == (422, "")
    assert not list(browser.cookies)


def test_a_bot_has_no_button(gitlab: GitLab) -> None:
    gitlab.create_project("acme/vision")
    gitlab.access_token("acme/vision", DEVELOPER)

    (form,) = Browser(gitlab.url).open(f"{gitlab.url}/users/sign_in").forms
    assert list(form.buttons) == ["ann"]


def test_every_sign_in_has_a_new_session_that_scripts_cannot_read(gitlab: GitLab) -> None:
    browser = Browser(gitlab.url)
    sessions = set()
    for _ in range(2):
        browser.open(f"{gitlab.url}/users/sign_in", {"username": "ann"})
        (cookie,) = browser.cookies
        assert cookie.has_nonstandard_attr("HttpOnly")
        sessions.add(cookie.value)

    assert len(sessions) == 2


@pytest.mark.parametrize(
    "elsewhere", ["http://evil.example/", "//evil.example/", "/\\evil.example", "/oauth/token"]
)
def test_signing_in_leads_to_no_other_site(gitlab: GitLab, elsewhere: str) -> None:
    form = {"username": "ann", "return_to": elsewhere}

    page = Browser(gitlab.url).open(f"{gitlab.url}/users/sign_in", form)
    assert page.location == f"{gitlab.url}/"


def test_the_home_page_tells_who_is_signed_in_and_signs_out(gitlab: GitLab) -> None:
    browser = Browser(gitlab.url)
    assert browser.open(f"{gitlab.url}/").location.endswith("/users/sign_in")
    browser.open(f"{gitlab.url}/users/sign_in", {"username": "ann"})

    page = browser.open(f"{gitlab.url}/")
    assert "<b>ann</b>" in page.text
    browser.open(f"{gitlab.url}{page.forms[0].action}", page.forms[0].fields)
    assert browser.open(f"{gitlab.url}/").location.endswith("/users/sign_in")


def test_what_a_page_repeats_is_escaped(gitlab: GitLab) -> None:
    script = "<script>alert(1)</script>"
    gitlab.change("create_application", redirect_uris=[CALLBACK], name=script, client_id="app")
    browser = Browser(gitlab.url)
    browser.open(f"{gitlab.url}/users/sign_in", {"username": "ann"})

    query = {"client_id": "app", "redirect_uri": CALLBACK, "response_type": "code"}
    page = browser.open(f"{gitlab.url}/oauth/authorize?{urlencode(query | {'state': script})}")
    assert "Authorize &lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert page.forms[0].fields["state"] == script


def test_silence_is_answered_without_a_page(client: Client) -> None:
    browser = Browser(client.gitlab.url)

    def error() -> str:
        return parameters_of(browser.open(client.url(prompt="none")).location).get("error", "")

    assert error() == "login_required"
    browser.open(f"{client.gitlab.url}/users/sign_in", {"username": "ann"})
    assert error() == "consent_required"
    client.redeem(client.code(browser=browser))
    assert error() == ""


@pytest.mark.parametrize("again", [{"prompt": "login"}, {"max_age": "0"}])
def test_a_session_that_is_too_old_signs_in_again(client: Client, again: dict[str, str]) -> None:
    browser = Browser(client.gitlab.url)
    client.redeem(client.code(browser=browser))
    (session,) = [cookie.value for cookie in browser.cookies]

    client.code(browser=browser, **again)
    assert [cookie.value for cookie in browser.cookies] != [session]


def test_a_user_signed_out_everywhere_signs_in_again(client: Client) -> None:
    browser = Browser(client.gitlab.url)
    tokens = client.redeem(client.code(browser=browser)).body

    client.gitlab.sign_out("ann")
    assert "/users/sign_in" in browser.open(client.url()).location
    assert client.get("/api/v4/user", tokens["access_token"]).status == 200


def test_the_challenge_is_seen_on_the_wire(client: Client) -> None:
    client.code()

    (first, *_) = client.gitlab.calls("^/oauth/authorize")
    assert f"code_challenge={challenge_of(VERIFIER)}" in first.path
    assert "code_challenge_method=S256" in first.path


def test_the_demo_has_an_application_whose_secret_never_changes(gitlab: GitLab) -> None:
    gitlab.reset("demo")

    tokens = Client(gitlab, CLIENT_ID, CLIENT_SECRET).sign_in("bob")
    assert tokens["scope"] == "openid profile email read_user api"


def test_the_demos_callback_is_an_option() -> None:
    with GitLab.start(world="demo", callback="http://localhost:6000/x") as gitlab:
        client = Client(gitlab, CLIENT_ID, CLIENT_SECRET)

        callback = gitlab.sign_in(client.url(redirect_uri="http://localhost:6000/x"), "bob")
        assert callback.startswith("http://localhost:6000/x?code=")
