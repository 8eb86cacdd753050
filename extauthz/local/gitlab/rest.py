"""The part of GitLab's REST API that tells who somebody is and what he may do."""

from aiohttp import web
from yarl import URL

from extauthz.local.gitlab.caller import Caller, Needs, caller_of
from extauthz.local.gitlab.entities import (
    Entity,
    member_entity,
    personal_token_entity,
    project_entity,
    simple_project_entity,
    user_entity,
)
from extauthz.local.gitlab.errors import ApiError, Moved, bad_request, not_found, unauthorized
from extauthz.local.gitlab.finder import Filter, find_projects, topics_of
from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import can_read, max_access_level
from extauthz.local.gitlab.pagination import page_of
from extauthz.local.gitlab.records import Project, TokenKind, User, Visibility
from extauthz.local.gitlab.site import Site

_USER = Needs(("read_user", "api", "read_api"), "User: Read")
_PROJECT = Needs(("api", "read_api"), "Project: Read")
_MEMBER = Needs(("api", "read_api"), "Member: Read")
# A token may always look at itself (GitLab: personal access tokens API).
_ITSELF = Needs(())


class Rest:
    """The routes below `/api/v4`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [
            web.get("/api/v4/user", self.user),
            web.get("/api/v4/projects", self.projects),
            web.get("/api/v4/projects/{id}", self.project),
            web.get("/api/v4/projects/{id}/members/all/{user_id}", self.member),
            web.get("/api/v4/personal_access_tokens/self", self.personal_token),
            web.route("*", "/api/v4/{rest:.*}", _no_route),
        ]

    async def user(self, request: web.Request) -> web.Response:
        """Return the current user."""
        user = _somebody(self._caller(request, _USER))
        return web.json_response(user_entity(user, request.url.origin()))

    async def projects(self, request: web.Request) -> web.Response:
        """Return one page of the projects a caller sees."""
        user = self._caller(request, _PROJECT).user
        found = find_projects(self._instance, user, _filter(request.url))
        page = page_of(found, request.url)
        simple = request.query.get("simple") == "true"
        entities = [
            self._entity(project, None if simple else user, request.url, listed=True)
            for project in page.projects
        ]
        return web.json_response(entities, headers=page.headers)

    async def project(self, request: web.Request) -> web.Response:
        """Return one project, by id or by path."""
        user = self._caller(request, _PROJECT).user
        project = self._find(request, user)
        return web.json_response(self._entity(project, user, request.url, listed=False))

    async def member(self, request: web.Request) -> web.Response:
        """Return a member of a project, inherited and invited ones included.

        The level is the effective one (GitLab: MembersFinder prefers project_authorizations).
        """
        caller = _somebody(self._caller(request, _MEMBER))
        project = self._find(request, caller)
        user_id = request.match_info["user_id"]
        if not user_id.isdecimal():
            raise ApiError(400, {"error": "user_id is invalid"})
        user = self._instance.users.get(int(user_id))
        level = max_access_level(self._instance, user, project)
        if user is None or level == 0:
            # A record that is not found is worded unlike a project that is not found.
            raise ApiError(404, {"message": "404 Not found"})
        return web.json_response(member_entity(user, level, request.url.origin()))

    async def personal_token(self, request: web.Request) -> web.Response:
        """Return the personal access token of the request."""
        token = self._caller(request, _ITSELF).token
        if token is None:
            raise unauthorized()
        if token.kind is not TokenKind.PERSONAL:
            raise bad_request("This endpoint requires token type to be a personal access token")
        return web.json_response(personal_token_entity(token))

    @property
    def _instance(self) -> Instance:
        return self._site.instance

    def _caller(self, request: web.Request, needs: Needs) -> Caller:
        return caller_of(self._instance, request.headers, needs)

    def _find(self, request: web.Request, user: User | None) -> Project:
        """Return the project a route names, if it is readable; raises ApiError or Moved.

        Digits are an id, all else a path. A moved project redirects only whom it would show itself
        (GitLab: lib/api/helpers.rb, find_project!).
        """
        name = request.match_info["id"]
        instance = self._instance
        if name.isdecimal():
            project, moved = instance.projects.get(int(name)), None
        else:
            project, moved = instance.project_at(name), instance.project_moved_from(name)
        found = project or moved
        if found is None or not can_read(instance, user, found):
            raise not_found("Project")
        if project is None:
            raise Moved(found.id)
        return project

    def _entity(self, project: Project, user: User | None, url: URL, *, listed: bool) -> Entity:
        base = url.origin()
        if user is None:
            return simple_project_entity(project, base)
        return project_entity(self._instance, user, project, base, listed=listed)


def _somebody(caller: Caller) -> User:
    if caller.user is None:
        raise unauthorized()
    return caller.user


def _filter(url: URL) -> Filter:
    query = url.query
    level, visibility = query.get("min_access_level"), query.get("visibility")
    if level is not None and not level.isdecimal():
        raise ApiError(400, {"error": "min_access_level is invalid"})
    if visibility is not None and visibility not in set(Visibility):
        raise ApiError(400, {"error": "visibility does not have a valid value"})
    return Filter(
        membership=query.get("membership") == "true",
        min_access_level=None if level is None else int(level),
        topics=topics_of(query.get("topic", "")),
        archived={"true": True, "false": False}.get(query.get("archived", "")),
        visibility=None if visibility is None else Visibility(visibility),
    )


async def _no_route(_request: web.Request) -> web.Response:
    return web.json_response({"error": "404 Not Found"}, status=404)
