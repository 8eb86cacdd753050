"""Signing out through the real Envoy and edge: at GitLab first, then here, and then for good."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from extauthz.edge.page import SECURITY_POLICY
from extauthz.edge.redis_store import RedisStore
from extauthz.edge.seal import Seal
from extauthz.edge.session import Session
from tests.gitlab import DEVELOPER, GitLab
from tests.oidc_client import send
from tests.servers.edge import SECRET_KEY
from tests.servers.redis import redis_server
from tests.servers.stack import Stack, login_gateway
from tests.successions import succession
from tests.tenants import Project, Tenants
from tests.visitor import NAVIGATION, Visitor, asked_of, is_page

SEAL = Seal([SecretStr(SECRET_KEY)])
# What was known of a token when it was revoked would be believed for so long.
LONG = {"PROJECT_CACHE_TIMEOUT": "600"}


@dataclass(frozen=True, slots=True)
class Front:
    """An edge with login, and another one that shares its sessions if they are in Redis."""

    stack: Stack
    other: Stack | None = None
    redis: str = ""

    def session_of(self, visitor: Visitor) -> Session:
        """Return what a visitor's cookie stands for."""
        if not self.redis:
            return Session.unpack(SEAL.open("session", visitor.session), visitor.session)
        found = asyncio.run(_found(self.redis, visitor.session))
        assert found is not None
        return found


async def _found(url: str, cookie: str) -> Session | None:
    store = RedisStore(SecretStr(url), SEAL, idle=7_200)
    try:
        return await store.find(cookie)
    finally:
        await store.close()


@pytest.fixture(scope="module")
def in_cookies(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("in-cookies")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow, LONG) as running:
        yield Front(running)


@pytest.fixture(scope="module")
def in_redis(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folders = [tmp_path_factory.mktemp(name) for name in ("in-redis", "beside")]
    gitlab, server = whole_stack.gitlab, whole_stack.mlflow
    with redis_server(folders[0]) as redis:
        settings = LONG | {"SESSION_STORE_URL": redis.url}
        with (
            login_gateway(folders[0], gitlab, server, settings) as one,
            login_gateway(folders[1], gitlab, server, settings) as two,
        ):
            yield Front(one, two, redis.url)


@pytest.fixture(params=["in_cookies", "in_redis"])
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """Each of the two ways to keep sessions; GitLab is well again after the test."""
    front = request.getfixturevalue(request.param)
    assert isinstance(front, Front)
    yield front
    front.stack.gitlab.heal()


@pytest.fixture
def gitlab(front: Front) -> GitLab:
    return front.stack.gitlab


@pytest.fixture
def project(front: Front) -> Project:
    return Tenants(front.stack).project()


@pytest.fixture
def visitor(front: Front, project: Project) -> Visitor:
    """Somebody who has signed in and seen his project."""
    visitor = Visitor(front.stack, project.member(DEVELOPER))
    assert visitor.visit(f"/auth/login?project={project.path}").status == 200
    return visitor


def opens(stack: Stack, project: Project, cookie: str) -> bool:
    """Tell whether a cookie still opens a project; if not, it must open nothing."""
    visitor = Visitor(stack, "nobody")
    visitor.plant(visitor.session_cookie, cookie)
    view = f"/{project.path}/tracking/"
    answers = [
        *(visitor.open(address).status for address in (view, "/", "/auth/")),
        visitor.open(view, headers=()).status,
        visitor.open(f"/auth/p/{project.id}").status,
    ]
    if answers == [200, 200, 200, 200, 302]:
        return True
    assert answers == [401] * 5
    return False


def is_alive(gitlab: GitLab, token: SecretStr) -> bool:
    """Tell whether GitLab takes an access token."""
    bearer = f"Bearer {token.get_secret_value()}"
    return send(f"{gitlab.url}/oauth/token/info", authorization=bearer).status == 200


class TestSigningOut:
    def test_asks_first_and_then_says_that_it_is_done(self, visitor: Visitor) -> None:
        asked = visitor.open("/auth/logout")
        is_page(asked, 200)
        assert visitor.user in asked.text
        assert visitor.session
        done = visitor.post("/auth/logout")
        assert (done.status, done.location) == (303, visitor.url("/auth/logout"))
        assert done.header("cache-control") == "private, no-store"
        (cookie,) = done.cookies
        assert (cookie.name, cookie.value, cookie.gone) == (visitor.session_cookie, "", True)
        shown = visitor.open(done.location)
        is_page(shown, 200)
        assert set(shown.links) == {"Sign in with GitLab", "GitLab"}
        assert shown.links["GitLab"].startswith(visitor.stack.gitlab.url)
        assert visitor.user not in shown.text

    def test_revokes_at_gitlab(self, front: Front, gitlab: GitLab, visitor: Visitor) -> None:
        tokens = front.session_of(visitor).tokens
        assert is_alive(gitlab, tokens.access)
        gitlab.forget_calls()
        visitor.sign_out()
        assert [call.method for call in gitlab.calls("/oauth/revoke")] == ["POST"]
        assert not is_alive(gitlab, tokens.access)

    def test_ends_the_session_in_every_copy_of_its_cookie(
        self, front: Front, visitor: Visitor, project: Project
    ) -> None:
        """Threat 60: at once, though what the session may do was known for ten minutes."""
        cookie = visitor.session
        places = [each for each in (front.stack, front.other) if each]
        for place in places:
            assert opens(place, project, cookie)
        visitor.sign_out()
        for place in places:
            assert not opens(place, project, cookie)

    def test_asks_gitlab_nothing_when_it_is_done_again(
        self, gitlab: GitLab, visitor: Visitor
    ) -> None:
        cookie = visitor.session
        visitor.sign_out()
        gitlab.forget_calls()
        for value in (cookie, "made-up", ""):
            visitor.plant(visitor.session_cookie, value)
            assert visitor.post("/auth/logout").status == 303
            assert not visitor.session
        assert visitor.post("/auth/logout").status == 303
        assert not gitlab.calls("/oauth")

    def test_leaves_other_sessions_alone(
        self, front: Front, visitor: Visitor, project: Project
    ) -> None:
        """Of the same person in another browser, and of others."""
        elsewhere = Visitor(front.stack, visitor.user)
        other = Visitor(front.stack, project.member(DEVELOPER))
        for each in (elsewhere, other):
            each.visit("/auth/login")
        visitor.sign_out()
        for each in (elsewhere, other):
            assert opens(front.stack, project, each.session)

    def test_is_followed_by_a_new_session(self, visitor: Visitor, project: Project) -> None:
        old = visitor.session
        visitor.sign_out()
        assert visitor.visit(f"/auth/login?project={project.path}").status == 200
        assert visitor.session not in ("", old)
        assert not opens(visitor.stack, project, old)

    def test_is_at_the_root_for_every_project(self, visitor: Visitor, project: Project) -> None:
        shown = visitor.open(f"/{project.path}/tracking/auth/logout")
        assert shown.location.partition("?")[0] == visitor.url("/auth/logout")
        assert asked_of(shown.location) == {"project": project.path}
        is_page(visitor.open(shown.location), 200)
        assert visitor.session

    def test_still_ends_a_session_that_gitlab_has_ended(
        self, gitlab: GitLab, visitor: Visitor, project: Project
    ) -> None:
        cookie = visitor.session
        gitlab.revoke_applications(visitor.user)
        assert visitor.sign_out().status == 303
        assert not opens(visitor.stack, project, cookie)


class TestWhileGitLabIsDown:
    @pytest.mark.parametrize(
        "fault",
        [
            {"effect": "error", "status": 500},
            {"effect": "error", "status": 401},
            {"effect": "html", "status": 200},
            {"effect": "reset"},
            {"effect": "throttle", "seconds": 3},
            {"effect": "redirect", "location": "http://127.0.0.1:9/"},
            {"effect": "hang"},
        ],
        ids=str,
    )
    def test_nobody_is_signed_out(
        self, gitlab: GitLab, visitor: Visitor, project: Project, fault: dict[str, Any]
    ) -> None:
        """Threat 60: a session that is only forgotten would leave its tokens behind."""
        cookie = visitor.session
        gitlab.faults(**fault, path="/oauth/revoke")
        shown = visitor.post("/auth/logout")
        is_page(shown, 503)
        assert 0 < int(shown.header("retry-after")) <= 60
        assert not shown.cookies
        assert visitor.session == cookie
        assert opens(visitor.stack, project, cookie)
        gitlab.heal()
        assert visitor.sign_out().status == 303
        assert not opens(visitor.stack, project, cookie)


class TestNobodyElse:
    """CSRF: only a page of ours signs anybody out."""

    @pytest.mark.parametrize(
        ("origin", "headers"),
        [
            (None, ()),
            (None, (("Sec-Fetch-Site", "cross-site"),)),
            (None, (("Sec-Fetch-Site", "same-site"),)),
            (None, (("Sec-Fetch-Site", "none"),)),
            (None, (("Sec-Fetch-Site", ""),)),
            ("null", ()),
            ("", ()),
            ("https://evil.example", ()),
            ("http://127.0.0.1", ()),
            ("http://127.0.0.1:9", ()),
            ("https://{host}", ()),
            ("http://{host}.evil.example", ()),
            ("http://evil.example@{host}", ()),
            ("http://{host}/", ()),
            ("http://{host}, https://evil.example", ()),
            ("http://{host}", (("Sec-Fetch-Site", "cross-site"),)),
            ("http://{host}", (("Origin", "https://evil.example"),)),
            ("https://evil.example", (("Sec-Fetch-Site", "same-origin"),)),
        ],
    )
    def test_signs_anybody_out(
        self,
        gitlab: GitLab,
        visitor: Visitor,
        project: Project,
        origin: str | None,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        cookie, host = visitor.session, visitor.stack.public_url.removeprefix("http://")
        gitlab.forget_calls()
        origin = origin and origin.format(host=host)
        assert visitor.post("/auth/logout", *headers, origin=origin).status == 403
        assert visitor.session == cookie
        assert not gitlab.calls("/oauth/revoke")
        assert opens(visitor.stack, project, cookie)

    def test_does_so_by_a_link_or_an_image(
        self, gitlab: GitLab, visitor: Visitor, project: Project
    ) -> None:
        cookie = visitor.session
        gitlab.forget_calls()
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
            for address in ("/auth/logout", f"/{project.path}/tracking/auth/logout"):
                visitor.open(address, method=method)
                named = (*NAVIGATION[:3], ("Sec-Fetch-Site", "same-origin"))
                visitor.open(address, method=method, headers=named)
        assert visitor.session == cookie
        assert not gitlab.calls("/oauth/revoke")
        assert opens(visitor.stack, project, cookie)

    def test_may_frame_the_page_that_asks(self, visitor: Visitor) -> None:
        """Clickjacking."""
        asked = visitor.open("/auth/logout")
        assert asked.header("content-security-policy") == SECURITY_POLICY
        assert "frame-ancestors 'none'" in SECURITY_POLICY

    @pytest.mark.parametrize("named", [("Sec-Fetch-Site", "same-origin"), None])
    def test_but_a_page_of_ours_does(self, visitor: Visitor, named: tuple[str, str] | None) -> None:
        shown = visitor.post("/auth/logout", named, origin=None) if named else visitor.sign_out()
        assert shown.status == 303
        assert not visitor.session


def test_a_session_in_a_cookie_stays_ended_after_a_restart(
    whole_stack: Stack, tmp_path: Path
) -> None:
    """Threat 60: what we forget then, GitLab has not."""
    with succession(tmp_path, whole_stack.gitlab, whole_stack.mlflow) as (edges, front):
        project = Tenants(front).project()
        visitor, other = (Visitor(front, project.member(DEVELOPER)) for _ in range(2))
        for each in (visitor, other):
            each.visit("/auth/login")
        cookie = visitor.session
        visitor.sign_out()
        edges.restart(front)
        assert opens(front, project, other.session)
        assert not opens(front, project, cookie)
