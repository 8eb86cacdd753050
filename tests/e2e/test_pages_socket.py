"""The socket of the pages: whoever reaches it past Envoy has been checked by nobody."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection

import pytest

from extauthz.grant import HEADER, GrantKey, GrantSigner
from tests.gitlab import DEVELOPER
from tests.servers.edge import GRANT_KEY as ANOTHER_KEY
from tests.servers.mlflow import GRANT_KEY, PUBLIC, SYSTEM, everything, project
from tests.servers.stack import Stack, login_gateway
from tests.tenants import Tenants
from tests.visitor import NAVIGATION, Visitor, is_page

SIGNER = GrantSigner(GrantKey(GRANT_KEY))
PATHS = ("/auth", "/auth/", "/auth/login", "/auth/authorize?state=x&code=y", "/auth/logout")


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login."""
    folder = tmp_path_factory.mktemp("socket")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture
def visitor(front: Stack) -> Visitor:
    """Somebody who has signed in."""
    visitor = Visitor(front, Tenants(front).project().member(DEVELOPER))
    assert visitor.visit("/auth/login").status == 200
    return visitor


def asked(visitor: Visitor, method: str, target: str, **headers: str) -> tuple[int, str]:
    """Ask the server of the pages itself, with a visitor's session."""
    connection = HTTPConnection("pages", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(visitor.stack.edge.pages.removeprefix("unix:"))
    cookie = f"{visitor.session_cookie}={visitor.session}"
    try:
        connection.request(method, target, headers={"Cookie": cookie, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# Made when they are sent, for they live a minute.
GRANTS: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "text": lambda: "made-up",
    "one without a signature": lambda: f"{SIGNER.sign(PUBLIC).rpartition('.')[0]}.",
    "one of another key": lambda: GrantSigner(GrantKey(ANOTHER_KEY)).sign(PUBLIC),
    "an old one": lambda: GrantSigner(GrantKey(GRANT_KEY), clock=lambda: 1_000_000.0).sign(PUBLIC),
    "one for another GitLab": lambda: SIGNER.sign(replace(PUBLIC, instance="another.test")),
    "one for a project": lambda: SIGNER.sign(project(7)),
    "one for many projects": lambda: SIGNER.sign(everything(7, 8)),
    "one for the edge itself": lambda: SIGNER.sign(SYSTEM),
}


@pytest.mark.parametrize("grant", GRANTS)
def test_nobody_gets_in_without_a_grant_for_the_pages(visitor: Visitor, grant: str) -> None:
    for headers in ({}, {HEADER: GRANTS[grant]()}):
        for path in PATHS:
            status, text = asked(visitor, "GET", path, **headers)
            assert status == 403
            assert visitor.user not in text
        status, _ = asked(visitor, "POST", "/auth/logout", Origin=visitor.site.origin, **headers)
        assert status == 403
    assert visitor.open("/").status == 200


def test_a_grant_for_the_pages_is_what_it_takes(visitor: Visitor) -> None:
    """Otherwise the test above would show nothing."""
    status, text = asked(visitor, "GET", "/auth/logout", **{HEADER: SIGNER.sign(PUBLIC)})
    assert status == 200
    assert visitor.user in text


def test_a_clients_own_grant_changes_nothing(visitor: Visitor) -> None:
    """Threat 17: Envoy removes it, and the edge puts its own in its place."""
    forged = SIGNER.sign(project(7))
    is_page(visitor.open("/auth/logout", headers=(*NAVIGATION, (HEADER, forged))), 200)


def test_nothing_else_is_served_there(visitor: Visitor) -> None:
    grant = SIGNER.sign(PUBLIC)
    for path in ("/", "/auth/x", "/auth/p/1", "/metrics", "//auth/", "/AUTH/", "/auth/../auth/"):
        status, _ = asked(visitor, "GET", path, **{HEADER: grant})
        assert status == 404, path
