"""The web application: routes, and what stands around every one of them."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from extauthz.local.gitlab.control import Control, refusals
from extauthz.local.gitlab.errors import ApiError, Moved
from extauthz.local.gitlab.faults import play
from extauthz.local.gitlab.graphql import GraphQL
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.browser import Browser
from extauthz.local.gitlab.oauth.endpoints import Endpoints
from extauthz.local.gitlab.rest import Rest
from extauthz.local.gitlab.site import Site

_PROJECT_SEGMENT = 4


def create_app(instance: Instance, *, control: bool) -> web.Application:
    """Return the application; without `control` nobody can change the world."""
    site = Site(instance)
    app = web.Application(middlewares=[refusals, _observed(site), _api_errors])
    app.add_routes([web.get("/-/readiness", _readiness)])
    if control:
        app.add_routes(Control(site).routes())
    app.add_routes(GraphQL(site).routes())
    app.add_routes(Rest(site).routes())
    app.add_routes(Endpoints(site).routes())
    app.add_routes(Browser(site).routes())
    return app


def _observed(site: Site) -> Middleware:
    """Return what logs every call of the API and plays the faults."""

    @web.middleware
    async def observed(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/-/"):
            return await handler(request)
        await site.calls.note(request)
        fault = site.faults.take(request.raw_path)
        return await (play(fault, request, handler) if fault else handler(request))

    return observed


@web.middleware
async def _api_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body, status=error.status)
    except Moved as moved:
        return _redirect(request, moved)


def _redirect(request: web.Request, moved: Moved) -> web.Response:
    """Return a 301 to the same route of the same project by id (GitLab: REST API, redirects)."""
    path, mark, query = request.raw_path.partition("?")
    segments = path.split("/")
    segments[_PROJECT_SEGMENT] = str(moved.project_id)
    location = f"{request.url.origin()}{'/'.join(segments)}{mark}{query}"
    return web.Response(
        status=301,
        headers={"Location": location},
        text=f"This resource has been moved permanently to {location}.",
    )


async def _readiness(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
