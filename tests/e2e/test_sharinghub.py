"""SharingHub mode through the real Envoy and edge: before a recording upstream, and MLflow."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER, Grant, GrantKey, GrantVerifier, View, Why
from extauthz.levels import Role
from tests.caller import Caller
from tests.servers.echo import Seen, Upstream, upstream
from tests.servers.edge import GRANT_KEY, INSTANCE, Edge, edge
from tests.servers.envoy import Answer, Envoy, envoy, request
from tests.servers.mlflow import GRANT_KEY as MLFLOW_KEY
from tests.servers.mlflow import mlflow
from tests.servers.ports import free_port
from tests.servers.stack import proxy
from tests.sharinghub import CONTRIBUTOR, COOKIE, GUEST, READ_ONLY, SharingHub

VERIFIER = GrantVerifier([GrantKey(GRANT_KEY)], instance=INSTANCE)
VISION = "/acme/vision/tracking/"
SEARCH = f"{VISION}api/2.0/mlflow/experiments/search"
CREATE = f"{VISION}api/2.0/mlflow/experiments/create"
PUBLIC = "https://mlflow.example.org"
OURS = f"origin: {PUBLIC}"
NAVIGATION = ("accept: text/html", "sec-fetch-mode: navigate", "sec-fetch-site: none")


@dataclass(frozen=True, slots=True)
class Stack:
    envoy: Envoy
    edge: Edge
    mlflow: Upstream
    hub: SharingHub

    async def forwarded(self, target: str, *lines: str, method: str = "GET") -> tuple[Seen, Grant]:
        """Send a request that must be allowed; returns what MLflow saw, and its one grant."""
        answer = await self.envoy.send(request(method, target, *lines))
        assert answer.status == 200, answer.body
        seen = self.mlflow.seen[-1]
        (token,) = seen.values(HEADER)
        return seen, VERIFIER.open(token)

    async def refused(self, target: str, *lines: str, method: str = "GET") -> Answer:
        """Send a request that must not reach MLflow."""
        before = len(self.mlflow.seen)
        answer = await self.envoy.send(request(method, target, *lines))
        assert answer.status >= 300
        assert len(self.mlflow.seen) == before
        return answer

    def session(self, user: str) -> str:
        """Return the cookie line of somebody who is logged in to SharingHub."""
        return f"cookie: {COOKIE}={self.hub.session(self.hub.token(user))}"


@pytest.fixture(scope="module")
def running() -> Iterator[SharingHub]:
    with SharingHub.start() as hub:
        yield hub


@pytest.fixture
def hub(running: SharingHub) -> SharingHub:
    running.reset()
    running.project(101, "acme/vision", dev=CONTRIBUTOR, ann=GUEST, robot=CONTRIBUTOR)
    running.project(102, "acme/open", others=READ_ONLY)
    running.project(103, "acme/data", dev=CONTRIBUTOR, categories=["dataset"])
    running.project(104, "acme/loose", dev=CONTRIBUTOR, categories=[])
    return running


@pytest.fixture
def settings() -> dict[str, str]:
    """What a test sets beside the addresses."""
    return {}


@pytest.fixture
async def stack(tmp_path: Path, hub: SharingHub, settings: dict[str, str]) -> AsyncIterator[Stack]:
    port = free_port()
    given = {"PUBLIC_URL": PUBLIC} | settings
    owned = {"/extauthz/v1/projects": '{"projects": [101, 102, 103, 104]}'}
    async with upstream(port, owned) as recorder:
        with edge(
            tmp_path,
            sharinghub_url=hub.url,
            mlflow_url=f"http://127.0.0.1:{port}",
            settings=given,
        ) as authorizer:
            options = EnvoyOptions(
                listen=f"127.0.0.1:{free_port()}",
                check=(authorizer.check,),
                mlflow=f"127.0.0.1:{port}",
                mlflow_host=f"127.0.0.1:{port}",
                admin=f"unix:{tmp_path}/admin.sock",
            )
            async with envoy(options, tmp_path) as running_envoy:
                yield Stack(running_envoy, authorizer, recorder, hub)


async def test_a_session_is_forwarded_as_the_token_in_it(stack: Stack) -> None:
    seen, grant = await stack.forwarded(CREATE, stack.session("dev"), OURS, method="POST")
    assert (grant.view, grant.role, grant.project_id) == (View.PROJECT, Role.WRITE, 101)
    assert grant.subject.startswith("sharinghub:")
    assert not seen.values("cookie")
    assert not [value for _, value in seen.headers if "glpat-" in value or COOKIE in value]


async def test_a_token_is_a_token_wherever_it_is_sent(stack: Stack) -> None:
    token = stack.hub.token("dev")
    for line in (f"authorization: Bearer {token}", f"x-gitlab-token: {token}"):
        _, grant = await stack.forwarded(CREATE, line, method="POST")
        assert grant.role is Role.WRITE
    assert len(stack.hub.calls()) == 1


async def test_a_guest_only_reads(stack: Stack) -> None:
    _, grant = await stack.forwarded(SEARCH, stack.session("ann"))
    assert (grant.role, grant.why) == (Role.READ, Why.GUEST)


async def test_the_global_view_carries_what_sharinghub_shows(stack: Stack) -> None:
    line = stack.session("dev")
    for _ in range(2):
        _, grant = await stack.forwarded("/", line)
        assert (grant.view, grant.projects) == (View.GLOBAL, (101, 102))
    assert len(stack.hub.calls("/api/check/")) == 4


async def test_what_is_no_project_of_mlflow_is_not_found(stack: Stack) -> None:
    line = stack.session("dev")
    answers = [
        await stack.refused(f"/{path}/tracking/", line)
        for path in ("acme/data", "acme/loose", "acme/nothing", "acme/group/none")
    ]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize(
    "target",
    [
        '/acme/vi"sion/tracking/',
        "/acme/vi%22sion/tracking/",
        "/acme/vi%7Bsion/tracking/",
        "/101/tracking/",
        "/acme/vision%2f/tracking/",
        "/acme/caf%C3%A9/tracking/",
        "/acme/vision%3Finfo=true/tracking/",
    ],
)
async def test_odd_characters_are_refused_before_sharinghub_is_asked(
    stack: Stack, target: str
) -> None:
    """Threats 39 and 42: SharingHub puts the path into the text of a query."""
    answer = await stack.refused(target, f"x-gitlab-token: {stack.hub.token('dev')}")
    assert answer.status in (400, 404)
    assert stack.hub.calls() == []


async def test_nobody_gets_in_without_a_credential(stack: Stack) -> None:
    """Threats 43 and 65."""
    for lines in ((), ("authorization: Bearer",), (f"cookie: {COOKIE}=forged",)):
        answer = await stack.refused("/acme/open/tracking/", *lines)
        assert answer.status == 401
        assert answer.json()["error_code"] == "UNAUTHENTICATED"
    assert stack.hub.calls("/api/check/") == []


class TestVisitors:
    @pytest.fixture
    def settings(self, hub: SharingHub) -> dict[str, str]:
        hub.anonymous(default_token=hub.token("robot"))
        return {"SHARINGHUB_AUTH_DEFAULT_TOKEN": "true"}

    async def test_read_whatever_the_robot_may_and_are_one_to_sharinghub(
        self, stack: Stack
    ) -> None:
        """Threats 65 and 66."""
        for lines in (
            (),
            ("authorization: Bearer",),
            ("authorization: Bearer ",),
            (f"cookie: {COOKIE}=forged",),
            (f"cookie: {COOKIE}=",),
        ):
            _, grant = await stack.forwarded(SEARCH, *lines)
            assert (grant.role, grant.why) == (Role.READ, Why.VISITOR)
            assert grant.subject == "visitor"
        assert len(stack.hub.calls("/api/check/")) == 1

    async def test_a_bad_token_is_refused_all_the_same(self, stack: Stack) -> None:
        """Threat 66."""
        await stack.forwarded(SEARCH)
        for line in ("authorization: Bearer glpat-made-up", "x-gitlab-token: glpat-made-up"):
            assert (await stack.refused(SEARCH, line)).status == 401


async def test_two_sessions_are_ambiguous(stack: Stack) -> None:
    line = stack.session("dev")
    for lines in ((line, line), (line, f"cookie: {COOKIE}=x"), (f"{line}; {COOKIE}=x",)):
        assert (await stack.refused(SEARCH, *lines)).status == 400


async def test_only_our_own_pages_change_anything(stack: Stack) -> None:
    """Threat 62: MLflow itself does not check on /graphql and /v1/traces."""
    session, token = stack.session("dev"), f"authorization: Bearer {stack.hub.token('dev')}"
    for target in (CREATE, f"{VISION}graphql", f"{VISION}v1/traces"):
        for who in (session, token):
            for line in (
                *("origin: https://evil.example", "origin: null", "origin: http://127.0.0.1"),
                *("sec-fetch-site: cross-site", "sec-fetch-site: same-site"),
            ):
                answer = await stack.refused(target, who, line, method="POST")
                assert answer.status == 403, line
            await stack.forwarded(target, who, OURS, "sec-fetch-site: same-origin", method="POST")
        assert (await stack.refused(target, session, method="POST")).status == 403
        await stack.forwarded(target, token, method="POST")


async def test_cookies_that_would_set_headers_are_refused_and_expired(stack: Stack) -> None:
    cookies = "mlflow-request-header-A=1; b=2; mlflow-request-header-C=3"
    answer = await stack.refused(VISION, f"{stack.session('dev')}; {cookies}")
    assert answer.status == 400
    ends = answer.headers["set-cookie"].split(", ")
    assert {
        f"mlflow-request-header-{name}=; Path={path}; Max-Age=0{domain}"
        for name in "AC"
        for path in ("/", VISION.rpartition("/tracking/")[0])
        for domain in ("", "; Domain=mlflow.example.org", "; Domain=example.org")
    } <= set(ends)
    assert len(ends) <= 60


@pytest.mark.parametrize(
    ("target", "way", "back"),
    [
        ("/auth/login", "login", "/"),
        ("/auth/logout", "logout", "/"),
        (f"{VISION}auth/login", "login", VISION),
        (f"{VISION}auth/logout", "logout", VISION),
        (f"{VISION}auth/login?redirect_uri=https://evil.example", "login", VISION),
    ],
)
async def test_login_and_logout_are_sharinghubs_and_lead_back(
    stack: Stack, target: str, way: str, back: str
) -> None:
    """Threat 56."""
    evil = ("x-forwarded-host: evil.example", "x-forwarded-proto: http", "forwarded: host=evil")
    answer = await stack.refused(target, *NAVIGATION, *evil)
    assert answer.status == 302
    address = f"{stack.hub.url}/api/auth/{way}?redirect_uri={quote(PUBLIC + back, safe='')}"
    assert answer.headers["location"] == address


async def test_a_browser_gets_a_page_that_leads_to_the_login(stack: Stack) -> None:
    answer = await stack.refused(f"{VISION}?x=%22&y=1", *NAVIGATION)
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    back = quote(f"{PUBLIC}{VISION}?x=%22&y=1", safe="")
    assert f'href="{stack.hub.url}/api/auth/login?redirect_uri={back}"' in answer.body.decode()


class TestAutomaticLogin:
    @pytest.fixture
    def settings(self) -> dict[str, str]:
        return {"LOGIN_AUTO_REDIRECT": "true", "PUBLIC_URL": f"{PUBLIC}/mlflow"}

    async def test_sends_a_browser_to_the_login_once_and_a_client_never(self, stack: Stack) -> None:
        target = f"/mlflow{VISION}?x=1"
        answer = await stack.refused(target, *NAVIGATION)
        back = quote(f"{PUBLIC}/mlflow{VISION}?x=1", safe="")
        assert answer.status == 302
        assert answer.headers["location"].endswith(f"/api/auth/login?redirect_uri={back}")
        cookie = answer.headers["set-cookie"].partition(";")[0]
        again = await stack.refused(target, *NAVIGATION, f"cookie: {cookie}")
        assert again.status == 401
        for lines in ((), ("accept: text/html", "sec-fetch-mode: cors"), ("accept: */*",)):
            assert (await stack.refused(target, *lines)).status == 401


async def test_a_sharinghub_that_hangs_holds_up_no_known_caller(stack: Stack) -> None:
    known = stack.session("dev")
    await stack.forwarded(SEARCH, known)
    stack.hub.fault("hang")
    await stack.forwarded(SEARCH, known)
    answer = await stack.refused(SEARCH, stack.session("ann"))
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    stack.hub.heal()


class TestShortLives:
    @pytest.fixture
    def settings(self) -> dict[str, str]:
        return {"PROJECT_CACHE_TIMEOUT": "0", "SHARINGHUB_AUTH_CACHE_TIMEOUT": "0"}

    async def test_a_sharinghub_that_hangs_leaves_known_callers_their_reading(
        self, stack: Stack
    ) -> None:
        """Session and access both have to be asked for again, in less time than Envoy waits."""
        line = stack.session("dev")
        await stack.forwarded(SEARCH, line)
        stack.hub.fault("hang")
        for _ in range(3):
            _, grant = await stack.forwarded(SEARCH, line)
            assert (grant.role, grant.why) == (Role.READ, Why.STALE)
        stack.hub.heal()


async def test_an_edge_that_stops_lets_nobody_in(stack: Stack) -> None:
    line = stack.session("dev")
    await stack.forwarded(SEARCH, line)
    os.kill(stack.edge.pid, signal.SIGKILL)
    assert (await stack.refused(SEARCH, line)).status == 503


async def test_no_log_and_no_metric_names_a_credential_or_a_project(stack: Stack) -> None:
    token = stack.hub.token("dev")
    session = stack.hub.session(token)
    await stack.forwarded(SEARCH, f"cookie: {COOKIE}={session}")
    await stack.refused("/acme/nothing/tracking/?secret=1", f"x-gitlab-token: {token}")
    stack.hub.fault(status=500, text='{"detail": "https://gitlab.internal"}')
    await stack.refused("/acme/open/tracking/", f"x-gitlab-token: {token}")
    stack.hub.heal()
    metrics = metrics_of(stack.edge)
    assert 'operation="session"' in metrics
    for text in (metrics, stack.edge.log.read_text(), str(stack.envoy.log)):
        for word in (token, session, "acme", "vision", "nothing", "secret=", "gitlab.internal"):
            assert word not in text


def metrics_of(authorizer: Edge) -> str:
    with urlopen(f"http://127.0.0.1:{authorizer.admin_port}/metrics", timeout=10) as answer:
        return str(answer.read())


def test_visitors_read_in_mlflow_what_a_signed_in_developer_has_made(
    tmp_path: Path, hub: SharingHub
) -> None:
    hub.anonymous(default_token=hub.token("robot"))
    settings = {
        "SHARINGHUB_AUTH_DEFAULT_TOKEN": "true",
        "GRANT_KEY": MLFLOW_KEY.get_secret_value(),
    }
    with (
        mlflow(tmp_path) as server,
        edge(
            tmp_path,
            sharinghub_url=hub.url,
            mlflow_url=f"http://127.0.0.1:{server.port}",
            settings=settings,
        ) as authorizer,
        proxy(tmp_path, authorizer, server) as front,
    ):
        session = hub.session(hub.token("dev"))
        page = (("Cookie", f"{COOKIE}={session}"), ("Origin", "http://localhost:5000"))
        developer = Caller(front.port, VISION.rstrip("/"), page)
        visitor = Caller(front.port, VISION.rstrip("/"), ())
        made = developer.post("experiments/create", name="churn")
        found = visitor.get("experiments/search", max_results=10)["experiments"]
        assert made["experiment_id"] in [each["experiment_id"] for each in found]
        everywhere = Caller(front.port, "", ()).get("experiments/search", max_results=10)
        assert made["experiment_id"] in [
            each["experiment_id"] for each in everywhere["experiments"]
        ]
        refused = visitor.call("POST experiments/create", name="theirs")
        assert refused.status == 403
        assert "visitors only read" in refused.json()["message"]
