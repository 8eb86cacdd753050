"""A small SharingHub: its answers are those recorded from sharinghub-server 0.4.

It is a server of its own and knows nothing of extauthz: `python -m tests.servers.sharinghub PORT`.
What the tests change in it they send to /-/test/<name of a method of World>.
"""

import asyncio
import base64
import hmac
import json
import re
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

COOKIE: Final = "sharinghub-session"
_KEY: Final = b"the secret of this SharingHub"
_GITLAB: Final = "https://gitlab.internal"
_MISSING: Final = "Missing token, either use login, or pass it as header or query"
_DEFAULT_IS_ON: Final = (
    "Not authenticated, but server default token is enabled. Use login to authenticate."
)


@dataclass(slots=True)
class Project:
    """A project; `levels` by user, `others` is what signed-in strangers and visitors have."""

    id: int
    path: str
    categories: list[str]
    levels: dict[str, int]
    others: int


@dataclass(slots=True)
class Fault:
    """What happens to calls whose raw path has a pattern in it, `times` times or for good.

    `effect` is answer (`status`, `text`, `kind`), hang, or reset.
    """

    effect: str
    path: str
    times: int
    status: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its raw path and query, and what came with it that proves somebody."""

    path: str
    token: bool
    cookies: list[str]
    bearer: bool


@dataclass(slots=True)
class World:
    """Everything this SharingHub knows."""

    tokens: dict[str, str] = field(default_factory=dict)
    projects: list[Project] = field(default_factory=list)
    default_token: str = ""
    public: bool = False
    faults: list[Fault] = field(default_factory=list)
    log: list[Call] = field(default_factory=list)

    def reset(self) -> None:
        """Forget everything."""
        for known in (self.tokens, self.projects, self.faults, self.log):
            known.clear()
        self.anonymous()

    def token(self, user: str, secret: str) -> None:
        """Have GitLab know a token."""
        self.tokens[secret] = user

    def revoke(self, secret: str) -> None:
        """Have GitLab forget a token; sessions that hold it go on."""
        del self.tokens[secret]

    def project(
        self, number: int, path: str, categories: list[str], levels: dict[str, int], others: int
    ) -> None:
        """Add a project, or change it."""
        self.remove(number)
        self.projects.append(Project(number, path, categories, levels, others))

    def remove(self, number: int) -> None:
        """Take a project away."""
        self.projects = [project for project in self.projects if project.id != number]

    def anonymous(self, default_token: str = "", *, public: bool = False) -> None:
        """Set what those without a credential are."""
        self.default_token, self.public = default_token, public

    def session(self, secret: str, *, age: float = 0) -> str:
        """Return the value of a session cookie that was made `age` seconds ago."""
        held = {"auth": {"access_token": secret}, "made": time.time() - age}
        content = base64.b64encode(json.dumps(held).encode()).decode()
        return f"{content}.{_signature(content)}"

    def fault(self, **given: Any) -> None:
        """Break something."""
        self.faults.append(Fault(**given))

    def heal(self) -> None:
        """End every fault."""
        self.faults.clear()

    def calls(self) -> list[dict[str, Any]]:
        """Return every call so far."""
        return [asdict(call) for call in self.log]

    def forget_calls(self) -> None:
        """Empty the log of calls."""
        self.log.clear()

    def held_by(self, cookie: str | None) -> str | None:
        """Return the token in a session cookie, if the cookie is ours and not too old."""
        content, _, signature = (cookie or "").rpartition(".")
        if not hmac.compare_digest(signature, _signature(content)):
            return None
        held = json.loads(base64.b64decode(content))
        return held["auth"]["access_token"] if time.time() - held["made"] < 3600 else None

    def credential_of(self, request: web.Request) -> str | None:
        """Return the token a request is judged by: in this order, whatever comes first."""
        return (
            request.query.get("gitlab_token")
            or request.headers.get("X-Gitlab-Token")
            or self.held_by(request.cookies.get(COOKIE))
            or self.default_token
            or ("" if self.public else None)
        )

    def take_fault(self, path: str) -> Fault | None:
        """Return the fault to play on a call, and count it."""
        for fault in self.faults:
            if fault.times != 0 and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


_WORLD: Final = web.AppKey("world", World)


def _signature(content: str) -> str:
    return hmac.new(_KEY, content.encode(), sha256).hexdigest()


def _error(status: int, detail: str) -> web.Response:
    return web.json_response({"detail": detail}, status=status)


async def check(request: web.Request) -> web.Response:
    """Say who may do what in a project."""
    world = request.app[_WORLD]
    name = request.match_info["name"].strip("/")
    if not name:
        return _error(400, "Bad Request")
    token = world.credential_of(request)
    if token is None:
        return _error(401, _MISSING)
    if '"' in name:
        # It is put into the text of a GraphQL query.
        return web.Response(status=500, text="Internal Server Error")
    if token and token not in world.tokens:
        body = json.dumps({"message": "401 Unauthorized"})
        return _error(401, f"HTTP 401 on {_GITLAB}/api/graphql: {body}")
    return _project(world, name, world.tokens.get(token), info=request.query.get("info") == "true")


def _project(world: World, name: str, user: str | None, *, info: bool) -> web.Response:
    for project in world.projects:
        level = project.levels.get(user or "", project.others)
        if name.lower() not in (str(project.id), project.path.lower()) or not level:
            continue
        if not project.categories:
            return _error(500, "Category not found in ['sharinghub:aimodel', 'sharinghub:dataset']")
        said = {
            "id": project.id,
            "name": project.path.rpartition("/")[2],
            "path": project.path,
            "categories": project.categories,
            "access_level": level,
        }
        return web.json_response(said) if info else web.Response()
    return _error(404, "Not Found")


async def info(request: web.Request) -> web.Response:
    """Turn a session into its token; a token in a header is only repeated."""
    world = request.app[_WORLD]
    token = request.headers.get("X-Gitlab-Token") or world.held_by(request.cookies.get(COOKIE))
    if token is not None:
        return web.json_response({"access_token": token})
    if world.default_token:
        return _error(401, _DEFAULT_IS_ON)
    if world.public:
        return web.json_response({"access_token": ""})
    return _error(401, _MISSING)


async def login(request: web.Request) -> web.Response:
    """Go to GitLab, or straight back with a session: anywhere."""
    world = request.app[_WORLD]
    if world.held_by(request.cookies.get(COOKIE)) is not None:
        raise web.HTTPTemporaryRedirect(request.query["redirect_uri"])
    raise web.HTTPFound(f"{_GITLAB}/oauth/authorize?response_type=code&state=x&nonce=y")


async def logout(request: web.Request) -> web.Response:
    """Go back, anywhere."""
    raise web.HTTPTemporaryRedirect(request.query["redirect_uri"])


async def control(request: web.Request) -> web.Response:
    """Change this SharingHub."""
    act = getattr(request.app[_WORLD], request.match_info["name"])
    return web.json_response(act(**await request.json()))


@web.middleware
async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write down every call, and play the faults."""
    if request.path.startswith("/-/test/"):
        return await handler(request)
    world = request.app[_WORLD]
    headers = request.headers
    world.log.append(
        Call(
            request.raw_path,
            token="X-Gitlab-Token" in headers,
            cookies=sorted(request.cookies),
            bearer="Authorization" in headers,
        )
    )
    fault = world.take_fault(request.raw_path)
    return await (_play(fault, request) if fault else handler(request))


async def _play(fault: Fault, request: web.Request) -> web.StreamResponse:
    match fault.effect:
        case "hang":
            await asyncio.Future()
        case "reset":
            if request.transport is not None:
                peer = request.transport.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                request.transport.abort()
    return web.Response(status=fault.status, text=fault.text, content_type=fault.kind)


async def session_on_every_answer(_: web.Request, answer: web.StreamResponse) -> None:
    """Send a session, as SharingHub always does; its Max-Age is not an integer."""
    answer.headers["Vary"] = "Cookie, Origin"
    answer.headers["Set-Cookie"] = (
        f"{COOKIE}={World().session('a-token-of-somebody')}; path=/; Max-Age=3600.0; httponly; "
        "samesite=lax"
    )


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    app = web.Application(middlewares=[logged])
    app[_WORLD] = World()
    app.router.add_post("/-/test/{name}", control)
    app.router.add_get("/api/check/{name:.*}", check)
    app.router.add_get("/api/auth/info", info)
    app.router.add_get("/api/auth/login", login)
    app.router.add_get("/api/auth/logout", logout)
    app.on_response_prepare.append(session_on_every_answer)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sys.stdout.write(f"SharingHub listens on {port}\n")
    sys.stdout.flush()
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
