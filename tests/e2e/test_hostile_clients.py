"""Clients that mean no good: odd projects, tokens of any size, connections that are dropped."""

import socket
import struct
from contextlib import ExitStack

import psutil
import pytest

from tests.caller import Caller
from tests.gitlab import DEVELOPER
from tests.polling import eventually
from tests.tenants import Project, Tenants

MANY = 300
# Far below what as many requests would take if they were kept.
GROWTH = 50_000_000


@pytest.fixture
def project(tenants: Tenants) -> Project:
    return tenants.project()


@pytest.mark.parametrize(
    "path",
    [
        ".",
        "..",
        "{}/..",
        "%20{}",
        "{}%20",
        "{}%00",
        "{}%3Fx=1",
        "{}%23x",
        "{}%2F",
        "%7B{}%7D",
        '{}"',
        "{}%22)%20%7B%20id%20%7D",
        "1",
        "12345",
        "{}%0A",
        "caf%C3%A9/x",
        "{}/-/settings",
        "{}.git",
        "{}" + "/x" * 300,
    ],
)
def test_gitlab_is_not_asked_for_what_is_no_project(project: Project, path: str) -> None:
    """Threats 39 and 42: the older plugin asked GitLab for other addresses then."""
    gitlab, token = project.tenants.stack.gitlab, project.tenants.token(project.member(DEVELOPER))
    before = len(gitlab.calls())
    caller = project.caller(token, path=path.format(project.path))
    answer = caller.send("GET", "/api/2.0/mlflow/experiments/search?max_results=9")
    assert answer.status in (400, 404), answer.body
    assert len(gitlab.calls()) == before


@pytest.mark.parametrize("size", [1_025, 8_192, 60_000])
@pytest.mark.parametrize("name", ["Authorization", "PRIVATE-TOKEN"])
def test_gitlab_is_not_asked_about_what_is_no_token(project: Project, name: str, size: int) -> None:
    """Threat 26."""
    gitlab = project.tenants.stack.gitlab
    value = "x" * size if name == "PRIVATE-TOKEN" else f"Bearer {'x' * size}"
    caller = Caller(project.caller("").port, f"/{project.path}/tracking", ((name, value),))
    before = len(gitlab.calls())
    assert caller.send("GET", "/").status in (400, 401, 431)
    assert len(gitlab.calls()) == before


@pytest.mark.parametrize("view", ["", "{}/tracking"])
@pytest.mark.parametrize("path", ["/hooks", "/hooks/gitlab", "/auth/hook", "/webhook", "/gitlab"])
def test_there_is_no_hook_to_forge(project: Project, view: str, path: str) -> None:
    """Threat 67: nobody but GitLab itself, when asked, says who may do what."""
    port, before = project.caller("").port, len(project.tenants.stack.gitlab.calls())
    hook = Caller(
        port, f"/{view.format(project.path)}".rstrip("/"), (("X-Gitlab-Token", "secret"),)
    )
    removed = {"event_name": "user_remove_from_team", "project_id": project.id}
    answer = hook.send("POST", path, removed, ("X-Gitlab-Event", "Member Hook"))
    assert answer.status == 404, answer.body
    assert len(project.tenants.stack.gitlab.calls()) == before


def test_clients_that_leave_while_they_are_judged_leave_nothing_behind(project: Project) -> None:
    """Threat 10, CVE-2026-47205: by a reset, while GitLab is silent."""
    stack, token = project.tenants.stack, project.tenants.token(project.member(DEVELOPER))
    developer, other = project.caller(token), project.tenants.project()
    assert developer.send("GET", "/").status == 200
    edge = psutil.Process(stack.edge.pid)
    memory, files = edge.memory_info().rss, edge.num_fds()
    stack.gitlab.faults("hang", path="graphql")
    try:
        before = len(stack.gitlab.calls())
        with ExitStack() as leaving:
            for number in range(MANY):
                peer = leaving.enter_context(
                    socket.create_connection(("127.0.0.1", developer.port), timeout=30)
                )
                # Without lingering, closing sends a reset.
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                path = other.path if number % 2 else f"{other.path}-{number}"
                lines = [
                    f"GET /{path}/tracking/ HTTP/1.1",
                    "Host: x",
                    *map(": ".join, developer.headers),
                ]
                peer.sendall("\r\n".join([*lines, "", ""]).encode())
            eventually(lambda: len(stack.gitlab.calls()) > before, wanted=True)
    finally:
        stack.gitlab.heal()
    # Who is known is served meanwhile; until the edge has noticed, nobody else is.
    newcomer = project.tenants.project().developer()
    eventually(lambda: newcomer.send("GET", "/").status, 200)
    eventually(lambda: edge.num_fds() <= files + 16, wanted=True)
    assert edge.memory_info().rss - memory < GROWTH
    assert psutil.pid_exists(stack.envoy.pid)
