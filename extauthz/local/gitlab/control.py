"""The endpoint by which tests and the demo change the world and break it: `/-/demo/`."""

from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError, validate_call
from pydantic_core import from_json, to_jsonable_python
from yarl import URL

from extauthz.local.gitlab.faults import Fault
from extauthz.local.gitlab.instance import Refused
from extauthz.local.gitlab.oauth.authority import Authority
from extauthz.local.gitlab.site import Site
from extauthz.local.gitlab.world import World, world_of

PREFIX = "/-/demo/"
# What of the instance can be called from outside.
CHANGES = (
    "create_user",
    "update_user",
    "create_group",
    "create_project",
    "update_project",
    "move_project",
    "delete_project",
    "add_member",
    "remove_member",
    "share",
    "unshare",
    "create_token",
    "create_access_token",
    "update_token",
    "set_version",
)
OAUTH_CHANGES = (
    "create_application",
    "tamper",
    "rotate_keys",
    "mint_id_token",
    "expire_access_tokens",
    "revoke_applications",
    "sign_out",
)


class Control:
    """One POST per change, with the arguments as a JSON object and the record as the answer."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [
            web.post(f"{PREFIX}batch", self.batch),
            web.post(f"{PREFIX}reset", self.reset),
            web.post(f"{PREFIX}faults", self.add_fault),
            web.delete(f"{PREFIX}faults", self.clear_faults),
            web.get(f"{PREFIX}calls", self.calls),
            web.delete(f"{PREFIX}calls", self.forget_calls),
            web.post(f"{PREFIX}{{change}}", self.change),
        ]

    async def change(self, request: web.Request) -> web.Response:
        """Make one change."""
        name, arguments = request.match_info["change"], from_json(await request.read())
        return _json(self._make(name, arguments, request.url.origin()))

    async def batch(self, request: web.Request) -> web.Response:
        """Make many changes, each a pair of its name and its arguments."""
        changes = from_json(await request.read())
        base = request.url.origin()
        return _json([self._make(name, arguments, base) for name, arguments in changes])

    async def reset(self, request: web.Request) -> web.Response:
        """Start again with a world, healthy and with an empty log."""
        body = from_json(await request.read())
        self._site.instance = world_of(World(body.get("world", World.EMPTY)))
        self._site.faults.clear()
        self._site.calls.calls.clear()
        return _json(None)

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a fault in force, after those already there."""
        self._site.faults.add(Fault(**from_json(await request.read())))
        return _json(None)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """End every fault."""
        self._site.faults.clear()
        return _json(None)

    async def calls(self, request: web.Request) -> web.Response:
        """Return the calls whose path has the regular expression `path` in it."""
        return _json(self._site.calls.matching(request.query.get("path", "")))

    async def forget_calls(self, _request: web.Request) -> web.Response:
        """Empty the log."""
        self._site.calls.calls.clear()
        return _json(None)

    def _make(self, name: str, arguments: dict[str, Any], base: URL) -> Any:
        instance = self._site.instance
        if name in CHANGES:
            change = getattr(instance, name)
        elif name in OAUTH_CHANGES:
            change = getattr(Authority(instance, base), name)
        else:
            raise Refused(f"there is no change {name}")
        # Pydantic turns the JSON into what the method declares, or says what does not fit.
        return validate_call(change)(**arguments)


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a change that cannot be made with 422 and the reason."""
    try:
        return await handler(request)
    except (Refused, ValidationError, ValueError, TypeError) as error:
        if not request.path.startswith(PREFIX):
            raise
        return web.Response(status=422, text=str(error))


def _json(value: Any) -> web.Response:
    return web.json_response(to_jsonable_python(value))
