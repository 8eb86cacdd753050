"""Signing in with GitLab through the real Envoy and edge: from where, to where, and how."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from pydantic import SecretStr

from extauthz.edge.handshake import Handshakes
from extauthz.edge.seal import Seal
from tests.gitlab import DEVELOPER
from tests.servers.edge import SECRET_KEY
from tests.servers.stack import Stack, login_gateway
from tests.tenants import Project, Tenants
from tests.visitor import NAVIGATION, Headers, Visitor, asked_of, is_page, is_refused

# No page of ours answers to these, so nobody is sent anywhere by them.
SCRIPTS: dict[str, Headers] = {
    "a client": (),
    "curl": (("Accept", "*/*"),),
    "a client that wants JSON": (("Accept", "application/json"),),
    "XMLHttpRequest": (("Accept", "text/html, */*"), ("Sec-Fetch-Mode", "cors")),
    "fetch": (("Accept", "*/*"), ("Sec-Fetch-Mode", "same-origin"), ("Sec-Fetch-Dest", "empty")),
    "an image": (("Accept", "text/html"), ("Sec-Fetch-Mode", "no-cors")),
}


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login, which shows a link."""
    folder = tmp_path_factory.mktemp("login")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture(scope="module")
def automatic(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login, which sends people there by itself."""
    folder, settings = tmp_path_factory.mktemp("automatic"), {"LOGIN_AUTO_REDIRECT": "true"}
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow, settings) as running:
        yield running


@pytest.fixture(params=["front", "automatic"])
def either(request: pytest.FixtureRequest) -> Stack:
    """Each of the two."""
    running = request.getfixturevalue(request.param)
    assert isinstance(running, Stack)
    return running


@pytest.fixture
def project(front: Stack) -> Project:
    return Tenants(front).project()


@pytest.fixture
def visitor(front: Stack, project: Project) -> Visitor:
    return Visitor(front, project.member(DEVELOPER))


class TestTheWayBack:
    @pytest.mark.parametrize(
        "target",
        [
            "/{project}/tracking/",
            "/{project}/tracking/?",
            "/{project}/tracking/?searchFilter=metrics.rmse%20%3C%201&orderBy=a%2Fb+c",
            "/{project}/tracking/?q={{x|y}}^~`'z'\\[1]",
            "/{project}/tracking/?return_to=//evil.example&project=a/b&state=1&code=2",
            "/{project}/tracking/?next=https://evil.example/?a=//b",
            "/{project}/tracking/ajax-api/2.0/mlflow/experiments/search?max_results=1",
            "/{project}/tracking/get-artifact?path=plots%2Froc%20curve.png&run_uuid=0a1b",
            "/?searchInput=%C3%A9%22%3Cb%3E",
            "/",
        ],
    )
    def test_leads_to_the_very_address_that_somebody_came_for(
        self, visitor: Visitor, project: Project, target: str
    ) -> None:
        target = target.format(project=project.path)
        asked = visitor.visit(target)
        way = is_refused(visitor, asked, 401)
        assert (asked.url, asked.header("www-authenticate")) == (
            visitor.url(target),
            'Bearer realm="MLflow"',
        )
        assert visitor.visit(way).url == visitor.url(target)
        assert visitor.session
        assert visitor.open(f"/{project.path}/tracking/").status == 200

    def test_leaves_behind_a_query_that_is_too_long_to_travel(
        self, visitor: Visitor, project: Project
    ) -> None:
        view = f"/{project.path}/tracking/"
        way = is_refused(visitor, visitor.open(f"{view}?x={'y' * 3000}"), 401)
        assert visitor.visit(way).url == visitor.url(view)

    @pytest.mark.parametrize(
        "way",
        ["/{project}/tracking/auth/login", "/auth/login?project={project}"],
    )
    def test_leads_to_the_project_whose_login_was_asked_for(
        self, visitor: Visitor, project: Project, way: str
    ) -> None:
        shown = visitor.visit(way.format(project=project.path))
        assert (shown.url, shown.status) == (visitor.url(f"/{project.path}/tracking/"), 200)

    @pytest.mark.parametrize(
        "way",
        [
            "/auth/login",
            "/auth/login?return_to=",
            "/auth/login?return_to=/nowhere",
            "/auth/login?return_to=/auth/logout",
            "/auth/login?project=",
            "/auth/login?project=../..",
            "/auth/login?project=alone",
            "/auth/login?project=//evil.example/x",
        ],
    )
    def test_leads_from_nowhere_to_the_projects(self, visitor: Visitor, way: str) -> None:
        shown = visitor.visit(way)
        is_page(shown, 200)
        assert shown.url == visitor.url("/auth/")
        assert visitor.user in shown.text


def test_no_login_takes_a_target_elsewhere(front: Stack) -> None:
    """Threat 56, CWE-601: some of the corpus of the unit test, as the cookie would keep it."""
    lines = (Path(__file__).parents[1] / "unit/open_redirects.txt").read_text().splitlines()
    entries = [json.loads(line) for line in lines if not line.startswith("#")][::4]
    nobody = Visitor(front, "nobody")
    handshakes = Handshakes(Seal([SecretStr(SECRET_KEY)]), nobody.site)
    for entry in entries:
        target = quote(entry.encode(errors="surrogatepass"), safe="")
        for name in ("return_to", "project") if len(target) < 4_000 else ():
            state = asked_of(nobody.begin(f"/auth/login?{name}={target}"))["state"]
            cookie = nobody.handshakes[-1]
            found = handshakes.find(state, f"{cookie.name}={cookie.value}")
            assert found is not None
            assert re.fullmatch("[\x21-\x7e]+", found.target)
            assert found.target.startswith(f"{front.public_url}/")
            assert not found.target.startswith((f"{front.public_url}//", f"{front.public_url}/\\"))


def test_a_login_is_asked_for_with_pkce_state_and_nonce(visitor: Visitor) -> None:
    """Threat 53: the challenge is on the wire, and a hash."""
    asked = [asked_of(visitor.begin()) for _ in range(3)]
    for each in asked:
        assert each["response_type"] == "code"
        assert each["redirect_uri"] == visitor.url("/auth/authorize")
        assert each["scope"] == "openid profile email read_user api"
        assert each["code_challenge_method"] == "S256"
        assert re.fullmatch("[A-Za-z0-9_-]{43}", each["code_challenge"])
        assert len(each["state"]) >= 43
        assert len(each["nonce"]) >= 43
        assert set(each) == {
            *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce"),
            *("code_challenge", "code_challenge_method"),
        }
    for name in ("state", "nonce", "code_challenge"):
        assert len({each[name] for each in asked}) == 3


class TestByItself:
    def test_a_browser_is_sent_to_sign_in_where_that_is_set(
        self, automatic: Stack, project: Project
    ) -> None:
        target = f"/{project.path}/tracking/?a=b%20c&d=//e"
        visitor = Visitor(automatic, project.member(DEVELOPER))
        shown = visitor.open(target)
        assert shown.status == 302
        assert shown.location == visitor.url(f"/auth/login?{urlencode({'return_to': target})}")
        assert shown.header("cache-control") == "private, no-store"
        arrived = Visitor(automatic, visitor.user).visit(target)
        assert (arrived.status, arrived.url) == (200, visitor.url(target))

    def test_a_browser_that_loses_its_session_is_not_sent_in_circles(
        self, automatic: Stack, project: Project
    ) -> None:
        target = f"/{project.path}/tracking/?x=1"
        visitor = Visitor(automatic, project.member(DEVELOPER), refused=("mlflow-session",))
        shown = visitor.visit(target)
        assert shown.url == visitor.url(target)
        is_refused(visitor, shown, 401)

    def test_a_browser_without_cookies_is_not_sent_in_circles(
        self, automatic: Stack, project: Project
    ) -> None:
        visitor = Visitor(automatic, project.member(DEVELOPER), refused=("",))
        shown = visitor.visit(f"/{project.path}/tracking/")
        is_refused(visitor, shown, 400)
        assert "cookies" in shown.text

    def test_a_browser_whose_session_gitlab_does_not_take_is_not_sent_in_circles(
        self, automatic: Stack, project: Project
    ) -> None:
        visitor = Visitor(automatic, project.member(DEVELOPER))
        automatic.gitlab.faults("error", path="/api/", status=401)
        try:
            shown = visitor.visit(f"/{project.path}/tracking/")
        finally:
            automatic.gitlab.heal()
        is_page(shown, 401)
        assert list(shown.links) == ["Sign in with GitLab"]

    def test_a_session_that_is_none_leads_to_a_new_one(
        self, automatic: Stack, project: Project
    ) -> None:
        visitor = Visitor(automatic, project.member(DEVELOPER))
        visitor.plant(visitor.session_cookie, "made-up")
        assert visitor.visit(f"/{project.path}/tracking/").status == 200


class TestScripts:
    @pytest.mark.parametrize("script", SCRIPTS)
    @pytest.mark.parametrize(
        "target", ["/", "/{project}/tracking/", "/{project}/tracking/api/2.0/mlflow/runs/get"]
    )
    def test_are_told_and_never_sent_to_sign_in(
        self, either: Stack, project: Project, script: str, target: str
    ) -> None:
        """Threat 61."""
        visitor = Visitor(either, "nobody")
        for method, more in (("GET", ()), ("POST", (("Origin", visitor.site.origin),))):
            headers = (*SCRIPTS[script], *more)
            shown = visitor.open(
                target.format(project=project.path), headers=headers, method=method
            )
            assert (shown.status, shown.location) == (401, "")
            assert json.loads(shown.text)["error_code"] == "UNAUTHENTICATED"
            assert shown.header("content-type") == "application/json"
            assert shown.header("www-authenticate") == 'Bearer realm="MLflow"'
            assert not shown.cookies

    def test_with_a_bad_token_are_not_sent_to_sign_in_either(
        self, either: Stack, project: Project
    ) -> None:
        visitor = Visitor(either, "nobody")
        for header in (("Authorization", "Bearer made-up"), ("PRIVATE-TOKEN", "made-up")):
            shown = visitor.open(f"/{project.path}/tracking/", headers=(*NAVIGATION, header))
            assert (shown.status, shown.location) == (401, "")
            assert not shown.cookies

    def test_a_form_is_not_sent_to_sign_in(self, automatic: Stack, project: Project) -> None:
        """A redirect would lose what it holds."""
        shown = Visitor(automatic, "nobody").post(f"/{project.path}/tracking/graphql")
        assert (shown.status, shown.location) == (401, "")


@contextmanager
def behind_tls(folder: Path, whole: Stack, public_url: str) -> Iterator[Stack]:
    """Run a gateway that people reach at another address than Envoy's own."""
    client_id, secret = whole.gitlab.create_application([f"{public_url}/auth/authorize"])
    settings = {
        "PUBLIC_URL": public_url,
        "ALLOW_INSECURE_HTTP": "true",
        "GITLAB_OAUTH_CLIENT_ID": client_id,
        "GITLAB_OAUTH_CLIENT_SECRET": secret,
    }
    prefix = urlsplit(public_url).path
    with login_gateway(folder, whole.gitlab, whole.mlflow, settings, prefix=prefix) as running:
        yield replace(running, public_url=public_url)


@pytest.mark.parametrize(
    ("public_url", "prefix", "path"),
    [
        ("http://mlflow.localhost:5000", "", "/"),
        ("http://mlflow.localhost/mlflow", "", "/mlflow/"),
        ("https://mlflow.example.org", "__Host-", "/"),
        ("https://hub.example.org:8443", "__Host-", "/"),
        ("https://hub.example.org/mlflow", "", "/mlflow/"),
        ("https://hub.example.org/a/b", "", "/a/b/"),
    ],
)
def test_cookies_are_for_our_site_alone(
    whole_stack: Stack, tmp_path: Path, public_url: str, prefix: str, path: str
) -> None:
    """Threat 59, cookie tossing: under https a sibling domain cannot set one of the same name."""
    with behind_tls(tmp_path, whole_stack, public_url) as front:
        project = Tenants(front).project()
        visitor = Visitor(front, project.member(DEVELOPER))
        target = f"/{project.path}/tracking/?x=1"
        way = is_refused(visitor, visitor.open(target), 401)
        authorization = visitor.begin(way)
        (handshake,) = visitor.handshakes
        arrived = visitor.visit(visitor.sign_in(authorization))
        assert (arrived.status, arrived.url) == (200, f"{public_url}{target}")
        (session,) = visitor.cookies.values()
        assert session.name == f"{prefix}mlflow-session"
        assert handshake.name.startswith(f"{prefix}mlflow-login-")
        for cookie, longest in ((handshake, 600), (session, 7 * 86_400)):
            assert set(cookie.attributes) - {"secure"} == {
                "path",
                "max-age",
                "httponly",
                "samesite",
            }
            assert cookie.attributes["samesite"] == "Lax"
            assert cookie.path == path
            assert 0 < int(cookie.attributes["max-age"]) <= longest
        assert visitor.sign_out().location == f"{public_url}/auth/logout"
        assert not visitor.cookies
