"""The real Envoy and the real edge before a recording upstream, driven without `await`."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER, Grant, GrantKey, GrantVerifier
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.echo import Upstream, upstream
from tests.servers.edge import GRANT_KEY, INSTANCE, edge
from tests.servers.envoy import Envoy, envoy
from tests.servers.ports import free_port

_OWNED: Final = "/extauthz/v1/projects"
_VERIFIER: Final = GrantVerifier([GrantKey(GRANT_KEY)], instance=INSTANCE)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came out behind Envoy: under which grant, and as which request."""

    grant: Grant
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """An Envoy, and what is behind it. `token` is a developer's of two projects out of three."""

    runner: asyncio.Runner
    envoy: Envoy
    mlflow: Upstream
    token: str

    def send(self, method: str, target: str, *more: str) -> Arrived | int:
        """Send a request with the token, and with more lines in its head.

        Returns what arrived of it, or the status of a refusal.
        """
        return self.runner.run(self._send(method, target, more))

    async def _send(self, method: str, target: str, more: tuple[str, ...]) -> Arrived | int:
        self.mlflow.seen.clear()
        head = [f"{method} {target} HTTP/1.1", "host: public.example", "connection: close"]
        lines = [*head, f"authorization: Bearer {self.token}", *more, "", ""]
        raw = "\r\n".join(lines).encode("utf-8", "surrogatepass")
        try:
            status = (await self.envoy.send(raw)).status
        except (asyncio.IncompleteReadError, ConnectionError):
            status = 0
        # Those that the edge itself asks for its list are no client's.
        seen = [each for each in self.mlflow.seen if each.target != _OWNED]
        if not seen:
            return status
        (one,) = seen
        (token,) = one.values(HEADER)
        return Arrived(_VERIFIER.open(token), one.method, one.target)


@contextmanager
def gateway(folder: Path) -> Iterator[Gateway]:
    """Run until the block ends."""
    with GitLab.start() as gitlab, asyncio.Runner() as runner:
        for path, number in (
            ("acme/vision", 101),
            ("tracking/tracking", 102),
            ("other/secret", 999),
        ):
            gitlab.create_project(path, id=number)
        gitlab.create_user("dev")
        for path in ("acme/vision", "tracking/tracking"):
            gitlab.add_member(path, "dev", DEVELOPER)
        stack = AsyncExitStack()
        try:
            yield runner.run(_started(stack, runner, folder, gitlab))
        finally:
            runner.run(stack.aclose())


async def _started(
    stack: AsyncExitStack, runner: asyncio.Runner, folder: Path, gitlab: GitLab
) -> Gateway:
    port = free_port()
    owned = '{"projects": [101, 102, 999]}'
    mlflow = await stack.enter_async_context(upstream(port, {_OWNED: owned}))
    # Long, because nothing of the world changes.
    settings = {"PROJECT_CACHE_TIMEOUT": "86400"}
    url = f"http://127.0.0.1:{port}"
    running = stack.enter_context(
        edge(folder, gitlab_url=gitlab.url, mlflow_url=url, settings=settings)
    )
    options = EnvoyOptions(
        listen=f"127.0.0.1:{free_port()}",
        check=(running.check,),
        mlflow=f"127.0.0.1:{port}",
        mlflow_host=f"127.0.0.1:{port}",
        admin=f"unix:{folder}/admin.sock",
    )
    proxy = await stack.enter_async_context(envoy(options, folder))
    return Gateway(runner, proxy, mlflow, gitlab.token("dev"))
