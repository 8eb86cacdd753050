"""One Chromium for all tests of a process, and sites of each kind before one MLflow.

Each test makes its own users and projects, and has a browser profile of its own.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.gateways import gateway_at
from tests.browser.tls import serving_context, tls_front
from tests.browser.visitor import Visitor
from tests.gitlab import GitLab
from tests.servers.mlflow import MLflow, mlflow
from tests.servers.ports import free_port
from tests.servers.stack import Stack, login_gateway

SHARED_HOST, OWN_HOST = "sharinghub.example.org", "mlflow.example.org"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--no-proxy-server"),
)
# MLflow's page is large, and the machine may be busy.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

Visit = Callable[..., Awaitable[Visitor]]


@dataclass(frozen=True, slots=True)
class Backend:
    """What all sites have in common, and where the fronts of those with https listen."""

    gitlab: GitLab
    mlflow: MLflow
    fronts: dict[str, int]


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    fronts = {host: free_port() for host in (SHARED_HOST, OWN_HOST)}
    # The sites share one MLflow, so each of their origins may write to it.
    origins = ",".join(f"https://{host}" for host in fronts)
    env = {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": origins}
    folder = tmp_path_factory.mktemp("mlflow")
    with GitLab.start() as gitlab, mlflow(folder, env=env) as server:
        yield Backend(gitlab, server, fronts)


@pytest.fixture(scope="session")
def root(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site at the root of its host."""
    folder = tmp_path_factory.mktemp("root")
    with login_gateway(folder, backend.gitlab, backend.mlflow) as site:
        yield site


@pytest.fixture(scope="session")
def below(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site below a path."""
    folder = tmp_path_factory.mktemp("below")
    with login_gateway(folder, backend.gitlab, backend.mlflow, prefix="/mlflow") as site:
        yield site


@pytest.fixture(scope="session")
def automatic(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A site that sends people to GitLab unasked, and that GitLab does not ask them about."""
    folder, port = tmp_path_factory.mktemp("automatic"), free_port()
    with gateway_at(
        folder,
        backend.gitlab,
        backend.mlflow,
        f"http://127.0.0.1:{port}",
        port=port,
        trusted=True,
        settings={"LOGIN_AUTO_REDIRECT": "true"},
    ) as site:
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_host(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """A site below a path of a host with https that has other sites too."""
    folder, port = tmp_path_factory.mktemp("shared"), backend.fronts[SHARED_HOST]
    url = f"https://{SHARED_HOST}/mlflow"
    with gateway_at(folder, backend.gitlab, backend.mlflow, url) as site:
        context = serving_context(folder, [SHARED_HOST])
        async with tls_front(context, port=port, to=site.envoy.port):
            yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def own_host(
    backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """A site at the root of a host with https."""
    folder, port = tmp_path_factory.mktemp("own"), backend.fronts[OWN_HOST]
    with gateway_at(folder, backend.gitlab, backend.mlflow, f"https://{OWN_HOST}") as site:
        context = serving_context(folder, [OWN_HOST])
        async with tls_front(context, port=port, to=site.envoy.port):
            yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(backend: Backend) -> AsyncIterator[Browser]:
    """A Chromium that finds the hosts with https on this machine."""
    places = [f"MAP {host} 127.0.0.1:{port}" for host, port in backend.fronts.items()]
    executable = shutil.which("chromium")
    assert executable, "these tests need Chromium: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=[*FLAGS, f"--host-resolver-rules={','.join(places)}"],
            # People's browsers have it: going back shows a page that was never left.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser) -> AsyncIterator[Visit]:
    """Sit somebody down at a new browser; `options` are those of its profile."""
    contexts = []

    async def begin(stack: Stack, user: str, **options: Any) -> Visitor:
        context = await chromium.new_context(ignore_https_errors=True, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return Visitor(await context.new_page(), stack, user)

    yield begin
    for context in contexts:
        await context.close()
