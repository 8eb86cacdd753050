"""The real Envoy and the real edge before a recording upstream: what would MLflow have received?"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER, Grant, GrantKey, GrantVerifier, View, Why
from extauthz.headers import REMOVED
from extauthz.levels import Role
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.servers.echo import Seen, Upstream, upstream
from tests.servers.edge import GRANT_KEY, INSTANCE, Edge, edge
from tests.servers.envoy import Answer, Envoy, envoy, request
from tests.servers.ports import free_port

OWNED = '{"projects": [101, 102, 999]}'
VERIFIER = GrantVerifier([GrantKey(GRANT_KEY)], instance=INSTANCE)


@dataclass(frozen=True, slots=True)
class Stack:
    envoy: Envoy
    edge: Edge
    mlflow: Upstream
    gitlab: GitLab

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


@pytest.fixture(scope="module")
def gitlab() -> Iterator[GitLab]:
    with GitLab.start() as running:
        yield running


@pytest.fixture
async def stack(tmp_path: Path, gitlab: GitLab) -> AsyncIterator[Stack]:
    gitlab.reset()
    gitlab.create_project("acme/vision", id=101)
    gitlab.create_project("tracking/tracking", id=102)
    gitlab.create_project("other/secret", id=999)
    for name, level in (("dev", DEVELOPER), ("guest", GUEST)):
        gitlab.create_user(name)
        gitlab.add_member("acme/vision", name, level)
        gitlab.add_member("tracking/tracking", name, level)
    port = free_port()
    async with upstream(port, {"/extauthz/v1/projects": OWNED}) as mlflow:
        with edge(
            tmp_path, gitlab_url=gitlab.url, mlflow_url=f"http://127.0.0.1:{port}"
        ) as running:
            options = EnvoyOptions(
                listen=f"127.0.0.1:{free_port()}",
                check=(running.check,),
                mlflow=f"127.0.0.1:{port}",
                mlflow_host=f"127.0.0.1:{port}",
                admin=f"unix:{tmp_path}/admin.sock",
            )
            async with envoy(options, tmp_path) as proxy:
                yield Stack(proxy, running, mlflow, gitlab)


def bearer(token: str) -> str:
    return f"authorization: Bearer {token}"


async def test_a_developer_is_forwarded_with_a_grant_that_writes(stack: Stack) -> None:
    token = bearer(stack.gitlab.token("dev"))
    seen, grant = await stack.forwarded(
        "/acme/vision/tracking/api/2.0/mlflow/runs/get?run_id=1", token
    )
    assert seen.target == "/api/2.0/mlflow/runs/get?run_id=1"
    assert (grant.view, grant.role, grant.why) == (View.PROJECT, Role.WRITE, None)
    assert (grant.project_id, grant.project_path, grant.name) == (101, "acme/vision", "dev")


async def test_a_guest_and_a_token_that_only_reads_are_forwarded_as_readers(stack: Stack) -> None:
    """Threats 29 and 45."""
    for token, why in (
        (stack.gitlab.token("guest"), Why.GUEST),
        (stack.gitlab.token("dev", scopes=["read_api"]), Why.TOKEN),
    ):
        _, grant = await stack.forwarded("/acme/vision/tracking/", bearer(token))
        assert (grant.role, grant.why) == (Role.READ, why)


async def test_the_global_view_carries_what_the_caller_may_read(stack: Stack) -> None:
    token = bearer(stack.gitlab.token("guest"))
    _, grant = await stack.forwarded("/api/2.0/mlflow/experiments/search", token)
    assert (grant.view, grant.role, grant.projects) == (View.GLOBAL, Role.READ, (101, 102))


async def test_strangers_and_unknown_projects_get_the_same_404(stack: Stack) -> None:
    stack.gitlab.create_user("stranger")
    stranger = bearer(stack.gitlab.token("stranger"))
    member = bearer(stack.gitlab.token("dev"))
    hidden = await stack.refused("/acme/vision/tracking/", stranger)
    absent = await stack.refused("/acme/nothing/tracking/", stranger)
    foreign = await stack.refused("/other/secret/tracking/", member)
    assert hidden.status == absent.status == foreign.status == 404
    assert hidden.body == absent.body == foreign.body
    _, grant = await stack.forwarded("/", stranger)
    assert grant.projects == ()


async def test_no_credential_and_a_bad_one_are_401_in_mlflows_form(stack: Stack) -> None:
    """Threat 43."""
    for lines in (
        (),
        (bearer("glpat-made-up-token"),),
        (bearer(""),),
        ("cookie: mlflow-session=x",),
    ):
        answer = await stack.refused("/acme/vision/tracking/api/2.0/mlflow/runs/get", *lines)
        assert answer.status == 401
        assert answer.json()["error_code"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_browser_gets_a_page(stack: Stack) -> None:
    answer = await stack.refused("/acme/vision/tracking/", "accept: text/html")
    assert answer.status == 401
    assert answer.headers["content-type"].startswith("text/html")


# Everything a client may do to a path; the decided path must be the forwarded one.
AWKWARD = [
    "/acme/vision/tracking/",
    "/acme/vision/tracking/?x=/../tracking/",
    "/acme/vision/tracking/health",
    "/Acme/VISION/tracking/version",
    "/acme//vision/tracking/",
    "/acme/./vision/tracking/",
    "/acme/x/../vision/tracking/",
    "/x/../acme/vision/tracking/api/2.0/../../",
    "/%61cme/vision/tracking/",
    "/acme/vision/%74racking/",
    "/acme/%2e/vision/tracking/",
    "/acme/vision/tracking/%2e%2e/tracking/",
    "/acme/vision/tracking/../../../other/secret/tracking/",
    "/acme/vision/tracking/..;/..;/other/secret/tracking/",
    "/acme/vision/tracking/%2e%2e;/x",
    "/acme/vision/tracking%2f..%2f..%2fother/secret/tracking/",
    "/acme/vision\\..\\..\\other/secret/tracking/",
    "/acme/vision/tracking/%5c..%5c",
    "/acme/vision/tracking/%252e%252e/",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/a/tracking/b",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/x/other/secret/tracking/health",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/100%25",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/caf%C3%A9%20x",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/%252e%252e%252fx",
    "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/%C0%AE%C0%AE",
    "/acme/vision/tracking/api/2.0/mlflow/experiments%2Fsearch",
    "/acme/vision/tracking//api/2.0/mlflow/experiments/search",
    "/acme/vision/tracking/%00",
    "/acme/vision/tracking/%0d%0ax-extauthz-grant:%20x",
    "/acme/vision/tracking/;/",
    "/acme/vision/tracking;x=y/",
    "/tracking/tracking/tracking/",
    "/tracking/tracking/tracking/tracking/",
    "/acme/vision/tracking/tracking/",
    "/other/secret/tracking/acme/vision/tracking/",
    "/other/secret/tracking/health",
    "http://evil.test/acme/vision/tracking/version",
    "/health",
    "/static-files/../acme/vision/tracking/",
    "/static-files/%2e%2e/api/2.0/mlflow/runs/get",
    "/api/2.0/mlflow/experiments/search?x=%00",
    "//api/2.0/mlflow/experiments/search",
    "/api/2.0/tracking/tracking/tracking/x",
    "/acme/vision/tracking/gateway/x",
    "/extauthz/v1/projects",
    "/acme/vision/tracking/extauthz/v1/projects",
]


async def test_the_decided_path_is_the_forwarded_path(stack: Stack) -> None:
    """Threats 31 to 37, CVE-2021-29492, CVE-2026-73511, CVE-2026-73551, GHSA-3q34-rx83-r6mq."""
    token = bearer(stack.gitlab.token("dev"))
    forwarded = 0
    for target in AWKWARD:
        stack.mlflow.seen.clear()
        answer = await stack.envoy.get(target, token)
        seen = [each for each in stack.mlflow.seen if each.target != "/extauthz/v1/projects"]
        if answer.status != 200:
            assert answer.status in (308, 400, 404), target
            assert seen == [], target
            continue
        forwarded += 1
        (one,) = seen
        (grant,) = (VERIFIER.open(value) for value in one.values(HEADER))
        path = urlsplit(one.target).path
        assert target.endswith(one.target) or ".." in target or "%" in target, target
        assert "//" not in path, target
        assert not {".", ".."} & set(path.split("/")), target
        # The project that was decided on is one the URL names, and never the secret one.
        assert grant.project_id in (0, 101, 102), target
        assert grant.view is not View.SYSTEM, target
        if grant.view is View.PUBLIC:
            assert path in ("/health", "/version") or path.startswith("/static-files/"), target
    assert forwarded >= 12


async def test_a_known_reading_of_each_path(stack: Stack) -> None:
    """Threat 31."""
    token = bearer(stack.gitlab.token("dev"))
    for target, project, path in (
        ("/acme/vision/tracking/", 101, "/"),
        ("/acme/x/../vision/tracking/", 101, "/"),
        ("/tracking/tracking/tracking/?a=b", 102, "/?a=b"),
        (
            "/acme/vision/tracking/api/2.0/mlflow-artifacts/artifacts/a/tracking/b",
            101,
            "/api/2.0/mlflow-artifacts/artifacts/a/tracking/b",
        ),
    ):
        seen, grant = await stack.forwarded(target, token)
        assert (grant.project_id, seen.target) == (project, path)


async def test_a_missing_slash_is_a_redirect_to_the_same_place(stack: Stack) -> None:
    answer = await stack.refused("/acme/vision/tracking?x=1", method="POST")
    assert answer.status == 308
    assert urlsplit(answer.headers["location"]).path == "/acme/vision/tracking/"
    assert urlsplit(answer.headers["location"]).netloc in ("", "public.example")


async def test_mlflow_sees_no_credential_and_nothing_else_that_a_client_sets(stack: Stack) -> None:
    """Threats 20 and 23, CVE-2023-27487, CVE-2024-45806, CVE-2026-40575."""
    token = stack.gitlab.token("dev")
    secret = f"Bearer {token}"
    lines = [
        f"{name}: {secret}" for name in REMOVED if name not in ("private-token", "x-gitlab-token")
    ]
    lines += [f"private-token: {token}", f"x-gitlab-token: {token}", f"{HEADER}: {secret}"]
    lines += ["x-envoy-original-path: /other/secret", "x-kept: yes"]
    seen, grant = await stack.forwarded("/acme/vision/tracking/", *lines)
    assert grant.project_id == 101
    assert not {name for name, _ in seen.headers} & set(REMOVED)
    assert not [name for name, value in seen.headers if token in value]
    assert not seen.values("x-envoy-original-path")
    assert seen.values("x-kept") == ["yes"]


@pytest.mark.parametrize(
    "lines",
    [
        ("{token}", "{token}"),
        ("{token}", "authorization: Bearer other"),
        ("{token}", "private-token: other"),
        ("{token}", "x_extauthz_grant: forged"),
        ("{token}", "X-Extauthz_Grant: forged"),
        ("{token}", "x_mlflow_workspace: p999"),
    ],
    ids=str,
)
async def test_an_ambiguous_request_is_refused(stack: Stack, lines: tuple[str, ...]) -> None:
    """Threats 19, 21 and 22, CVE-2021-32777, CVE-2025-64484."""
    token = bearer(stack.gitlab.token("dev"))
    sent = [line.format(token=token) for line in lines]
    assert (await stack.refused("/acme/vision/tracking/", *sent)).status == 400
    await stack.forwarded("/acme/vision/tracking/", token)


@pytest.mark.parametrize("name", [HEADER, HEADER.upper(), "X-MLFLOW-WORKSPACE"])
async def test_what_only_the_edge_may_say_is_replaced(stack: Stack, name: str) -> None:
    """Threats 17 and 18."""
    token = bearer(stack.gitlab.token("guest"))
    for target in ("/acme/vision/tracking/", "/", "/health"):
        seen, grant = await stack.forwarded(target, token, f"{name}: p999", f"{name}: p999")
        assert grant.role is Role.READ
        assert not seen.values("x-mlflow-workspace")


async def test_an_edge_that_dies_or_stops_lets_nobody_in(stack: Stack) -> None:
    """Threat 5, CVE-2023-27488, CVE-2024-23324."""
    token = bearer(stack.gitlab.token("dev"))
    await stack.forwarded("/acme/vision/tracking/", token)
    os.kill(stack.edge.pid, signal.SIGSTOP)
    try:
        answer = await stack.refused("/acme/vision/tracking/", token)
    finally:
        os.kill(stack.edge.pid, signal.SIGCONT)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    os.kill(stack.edge.pid, signal.SIGKILL)
    for target in ("/acme/vision/tracking/", "/health", "/static-files/x.js"):
        assert (await stack.refused(target, token)).status == 503


async def test_gitlab_down_serves_known_readers_and_nobody_else(stack: Stack) -> None:
    """Threat 78."""
    known, unknown = (bearer(stack.gitlab.token("dev")) for _ in range(2))
    await stack.forwarded("/acme/vision/tracking/", known)
    stack.gitlab.faults("error", status=500)
    answer = await stack.refused("/acme/vision/tracking/", unknown)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    await stack.forwarded("/acme/vision/tracking/", known)


async def test_two_hundred_at_once_cost_what_one_costs(stack: Stack) -> None:
    """Threat 73."""
    token = bearer(stack.gitlab.token("dev"))
    stack.gitlab.forget_calls()
    answers = await asyncio.gather(
        *(
            stack.envoy.get("/acme/vision/tracking/api/2.0/mlflow/runs/get", token)
            for _ in range(200)
        )
    )
    assert {answer.status for answer in answers} == {200}
    assert len(stack.gitlab.calls()) == 2  # the access, and what the token itself may do
    await stack.forwarded("/tracking/tracking/tracking/", token)
    assert len(stack.gitlab.calls()) == 3
    await stack.forwarded("/", token)
    assert len(stack.gitlab.calls()) == 4
    await stack.forwarded("/", token)
    assert len(stack.gitlab.calls()) == 4


async def test_no_log_and_no_metric_names_a_token_or_a_project(stack: Stack) -> None:
    """Threat 79."""
    token = stack.gitlab.token("dev")
    await stack.forwarded("/acme/vision/tracking/", bearer(token))
    await stack.refused("/acme/nothing/tracking/?secret=1", bearer(token))
    texts = [stack.edge.log.read_text(), str(stack.envoy.log)]
    for text in texts:
        assert text
        assert not [
            word for word in (token, "acme", "vision", "nothing", "secret=") if word in text
        ]
