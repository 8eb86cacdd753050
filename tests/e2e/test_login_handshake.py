"""What binds a sign-in to one browser, and to one time, through the real Envoy and edge."""

import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from extauthz.edge.seal import Seal
from extauthz.edge.session import Session
from tests.gitlab import DEVELOPER
from tests.servers.edge import SECRET_KEY
from tests.servers.stack import Stack, login_gateway
from tests.successions import succession
from tests.tenants import Project, Tenants
from tests.visitor import Cookie, Visitor, asked_of, changed, is_page, is_refused

# A browser that abandons more tabs than this loses the oldest.
MOST = 12
TABS = 10


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login."""
    folder = tmp_path_factory.mktemp("handshakes")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture
def project(front: Stack) -> Project:
    return Tenants(front).project()


@pytest.fixture
def visitor(front: Stack, project: Project) -> Visitor:
    return Visitor(front, project.member(DEVELOPER))


@pytest.fixture
def other(front: Stack, project: Project) -> Visitor:
    return Visitor(front, project.member(DEVELOPER))


class TestTheState:
    """Threat 51: CVE-2025-68158, CVE-2026-41425."""

    @pytest.mark.parametrize("wrong", ["missing", "empty", "unknown", "twice", "beside another"])
    def test_must_come_once_and_be_ours(self, visitor: Visitor, wrong: str) -> None:
        callback = visitor.sign_in(visitor.begin())
        state = asked_of(callback)["state"]
        states: dict[str, str | list[str] | None] = {
            "missing": None,
            "empty": "",
            "unknown": "x" * len(state),
            "twice": [state, state],
            "beside another": [state, "x"],
        }
        visitor.stack.gitlab.forget_calls()
        is_refused(visitor, visitor.open(changed(callback, state=states[wrong])), 400)
        assert not visitor.stack.gitlab.calls("/oauth/token")
        # Nothing is used up by it.
        assert visitor.visit(callback).status == 200

    @pytest.mark.parametrize(
        "state",
        ["é", "\u202e", "\x00", "%00", "a\r\nb", "x" * 6_000, "'\"><script>alert(1)</script>"],
    )
    def test_may_be_anything_and_is_not_repeated(self, visitor: Visitor, state: str) -> None:
        callback = visitor.sign_in(visitor.begin())
        shown = visitor.open(changed(callback, state=state))
        is_refused(visitor, shown, 400)
        assert state not in shown.text

    def test_works_once(self, visitor: Visitor, other: Visitor) -> None:
        callback = visitor.sign_in(visitor.begin())
        (handshake,) = visitor.handshakes
        assert visitor.open(callback).status == 302
        session = visitor.session
        assert session
        is_page(visitor.open(callback), 400)
        # The browser has forgotten it; somebody who copied the cookie has not.
        other.cookies[handshake.name] = handshake
        is_refused(other, other.open(callback), 400)
        again = visitor.sign_in(visitor.begin())
        other.cookies[handshake.name] = handshake
        replayed = changed(callback, code=asked_of(again)["code"])
        is_refused(other, other.open(replayed), 400)
        assert visitor.session == session

    def test_works_once_if_it_comes_many_times_at_once(self, visitor: Visitor) -> None:
        callback = visitor.sign_in(visitor.begin())
        copies = [Visitor(visitor.stack, visitor.user, (), dict(visitor.cookies)) for _ in range(8)]
        visitor.stack.gitlab.forget_calls()
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda copy: copy.open(callback).status, copies))
        assert sorted(answers) == [302, *[400] * 7]
        assert len(visitor.stack.gitlab.calls("/oauth/token")) == 1
        assert len([copy for copy in copies if copy.session]) == 1

    def test_is_used_up_by_a_refusal_too(self, visitor: Visitor) -> None:
        callback = visitor.sign_in(visitor.begin())
        refused = changed(callback, code=None, error="access_denied")
        is_refused(visitor, visitor.open(refused), 403)
        is_refused(visitor, visitor.open(callback), 400)

    def test_belongs_to_the_browser_that_began(self, visitor: Visitor, other: Visitor) -> None:
        """Login CSRF: nobody is signed in as somebody else by following a link."""
        callback = visitor.sign_in(visitor.begin())
        is_refused(other, other.open(callback), 400)
        # Not even while he signs in himself.
        authorization = other.begin()
        is_page(other.open(callback), 400)
        assert not other.session
        assert other.visit(other.sign_in(authorization)).status == 200
        assert other.user in other.open("/auth/").text
        assert visitor.visit(callback).status == 200
        assert visitor.user in visitor.open("/auth/").text

    def test_does_not_open_to_the_code_of_somebody_else(
        self, visitor: Visitor, other: Visitor
    ) -> None:
        """Code injection: PKCE and the nonce bind a code to the handshake it was asked for in."""
        theirs = visitor.sign_in(visitor.begin())
        own = other.sign_in(other.begin())
        is_refused(other, other.open(changed(own, code=asked_of(theirs)["code"])), 401)


class TestManyTabs:
    def test_at_once_all_get_where_they_wanted(self, visitor: Visitor, project: Project) -> None:
        """Threat 51."""
        targets = [f"/{project.path}/tracking/?tab={number}" for number in range(TABS)]
        ways = [is_refused(visitor, visitor.open(target), 401) for target in targets]
        authorizations = [visitor.begin(way) for way in ways]
        assert len(visitor.handshakes) == TABS
        callbacks = [visitor.sign_in(each) for each in authorizations]
        random.shuffle(order := list(zip(callbacks, targets, strict=True)))
        with ThreadPoolExecutor(TABS) as threads:
            ends = list(threads.map(lambda pair: visitor.open(pair[0]).location, order))
        assert ends == [visitor.url(target) for _, target in order]
        assert not visitor.handshakes
        assert visitor.open(targets[0]).status == 200

    def test_all_finish_after_a_restart_of_the_edge(
        self, whole_stack: Stack, tmp_path: Path
    ) -> None:
        """Threat 51, oauth2-proxy #611: nothing of a handshake is in our memory."""
        with succession(tmp_path, whole_stack.gitlab, whole_stack.mlflow) as (edges, front):
            project = Tenants(front).project()
            visitor = Visitor(front, project.member(DEVELOPER))
            targets = [f"/{project.path}/tracking/?tab={number}" for number in range(TABS)]
            ways = [is_refused(visitor, visitor.open(target), 401) for target in targets]
            authorizations = [visitor.begin(way) for way in ways]
            edges.restart(front)
            for authorization, target in zip(authorizations, targets, strict=True):
                arrived = visitor.visit(visitor.sign_in(authorization))
                assert (arrived.status, arrived.url) == (200, visitor.url(target))

    def test_that_are_abandoned_do_not_fill_up_the_browser(self, visitor: Visitor) -> None:
        """oauth2-proxy #611: too many cookies, and no request gets through any more."""
        authorizations = []
        for number in range(3 * MOST):
            authorizations.append(visitor.begin(f"/auth/login?return_to=/?tab={number}"))
            assert len(visitor.handshakes) <= MOST
        assert visitor.visit(visitor.sign_in(authorizations[-1])).url == visitor.url(
            f"/?tab={3 * MOST - 1}"
        )
        callback = visitor.sign_in(authorizations[0])
        is_page(visitor.open(callback), 400)

    def test_that_are_abandoned_on_long_addresses_do_not_lock_anybody_out(
        self, visitor: Visitor
    ) -> None:
        for number in range(MOST):
            way = is_refused(visitor, visitor.open(f"/?tab={number}&x={'y' * 1500}"), 401)
            authorization = visitor.begin(way)
        assert visitor.visit(visitor.sign_in(authorization)).status == 200
        assert visitor.session

    def test_that_a_sibling_domain_made_up_do_not_lock_anybody_out(self, visitor: Visitor) -> None:
        """Cookie tossing: a browser keeps some 180 cookies of a domain, Envoy takes 100 headers."""
        for number in range(150):
            visitor.plant(f"mlflow-login-{number:012x}", "made-up")
        assert visitor.visit("/auth/login").status == 200
        assert visitor.session

    def test_beside_large_cookies_of_the_same_host_still_sign_in(self, visitor: Visitor) -> None:
        """Other services of a domain set cookies as well; Envoy takes 96 KiB of headers."""
        for number in range(4):
            visitor.plant(f"somebody-elses-{number}", "x" * 4_000)
        assert visitor.visit("/auth/login").status == 200
        assert visitor.session


class TestTheCookieOfAHandshake:
    @pytest.fixture
    def callback(self, visitor: Visitor) -> str:
        return visitor.sign_in(visitor.begin())

    @pytest.mark.parametrize("wrong", ["flipped", "cut", "empty", "none", "plain", "of another"])
    def test_opens_only_as_we_sealed_it(self, visitor: Visitor, callback: str, wrong: str) -> None:
        (handshake,) = visitor.handshakes
        if wrong == "of another":
            visitor.begin()
            value = visitor.handshakes[-1].value
        else:
            value = {
                "flipped": _flipped(handshake.value, 60),
                "cut": handshake.value[:-8],
                "empty": "",
                "none": "made-up",
                "plain": asked_of(callback)["state"],
            }[wrong]
        visitor.plant(handshake.name, value)
        is_refused(visitor, visitor.open(callback), 400)

    def test_beside_a_false_one_of_the_same_name_is_found(
        self, visitor: Visitor, callback: str
    ) -> None:
        """Cookie tossing: a sibling domain cannot keep anybody from signing in."""
        (handshake,) = visitor.handshakes
        first = Cookie("z", f"1; {handshake.name}=made-up", {"path": "/"})
        visitor.cookies = {"z": first, **visitor.cookies}
        assert visitor.open(callback).status == 302
        assert visitor.session

    def test_is_no_session_cookie(self, visitor: Visitor) -> None:
        """Threat 57."""
        visitor.begin()
        (handshake,) = visitor.handshakes
        visitor.plant(visitor.session_cookie, handshake.value)
        assert visitor.open("/", headers=()).status == 401
        is_page(visitor.open("/"), 401)
        is_page(visitor.open("/auth/"), 401)

    def test_cannot_be_a_session_cookie(self, visitor: Visitor) -> None:
        """Threat 57."""
        visitor.visit("/auth/login")
        state = "a-state-of-my-own"
        name = f"mlflow-login-{hashlib.sha256(state.encode()).hexdigest()[:12]}"
        visitor.plant(name, visitor.session)
        is_page(visitor.open(f"/auth/authorize?code=1&state={state}"), 400)


class TestTheSession:
    """Threat 55, session fixation: GHSA-f24x-5g9q-753f."""

    def test_is_never_the_one_from_before(self, visitor: Visitor, other: Visitor) -> None:
        other.visit("/auth/login")
        visitor.plant(visitor.session_cookie, other.session)
        visitor.visit("/auth/login")
        assert visitor.session != other.session
        assert visitor.user in visitor.open("/auth/").text
        # Who has planted it has gained nothing.
        assert other.user in other.open("/auth/").text
        assert visitor.user not in other.open("/auth/").text

    def test_has_a_new_id_at_each_login(self, visitor: Visitor) -> None:
        ids, values = set(), set()
        for _ in range(3):
            visitor.visit("/auth/login")
            values.add(visitor.session)
            ids.add(_opened(visitor.session).id)
        assert (len(ids), len(values)) == (3, 3)
        assert all(len(each) >= 24 for each in ids)


def _flipped(sealed: str, at: int) -> str:
    return f"{sealed[:at]}{'A' if sealed[at] != 'A' else 'B'}{sealed[at + 1 :]}"


def _opened(cookie: str) -> Session:
    return Session.unpack(Seal([SecretStr(SECRET_KEY)]).open("session", cookie), cookie)
