"""What a browser calls: signing in, and the authorization endpoint."""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.errors import OAuthError
from extauthz.local.gitlab.oauth.issuing import grant_code, has_consent
from extauthz.local.gitlab.oauth.pages import consent_page, error_page, home_page, sign_in_page
from extauthz.local.gitlab.oauth.records import AuthorizationRequest, SignIn
from extauthz.local.gitlab.oauth.request import authorization_request
from extauthz.local.gitlab.oauth.session import begin, end, sign_in_of
from extauthz.local.gitlab.oauth.tampering import tampered
from extauthz.local.gitlab.records import State, User
from extauthz.local.gitlab.site import Site

_WHY_NOT = {
    State.BLOCKED: (
        "Your account has been blocked. Contact your GitLab administrator if you think this is "
        "an error."
    ),
    State.DEACTIVATED: "Your account has been deactivated.",
}
_SIGN_IN = "/users/sign_in"
_AGAIN = {"login", "select_account"}


class Browser:
    """The pages, and the redirects between them."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return what to serve."""
        return [
            web.get("/", self.home),
            web.get(_SIGN_IN, self.choose),
            web.post(_SIGN_IN, self.sign_in),
            web.post("/users/sign_out", self.sign_out),
            web.get("/oauth/authorize", self.authorize),
            web.post("/oauth/authorize", self.decide),
        ]

    async def home(self, request: web.Request) -> web.Response:
        """Say who is signed in."""
        sign_in = sign_in_of(self._instance, request)
        return home_page(self._user(sign_in)) if sign_in else _see(_SIGN_IN)

    async def choose(self, request: web.Request) -> web.Response:
        """Ask who it is."""
        return sign_in_page(self._people(), _own(request.query.get("return_to", "/")))

    async def sign_in(self, request: web.Request) -> web.Response:
        """Sign a user in and go on where he came from."""
        form = await form_of(request)
        return_to = _own(form.get("return_to", "/"))
        named = [user for user in self._people() if user.username == form.get("username")]
        if not named:
            return sign_in_page(self._people(), return_to, "Invalid login or password.")
        if named[0].state is not State.ACTIVE:
            return sign_in_page(self._people(), return_to, _WHY_NOT[named[0].state])
        end(self._instance, request)
        answer = _see(return_to)
        begin(self._instance, named[0].id, answer)
        return answer

    async def sign_out(self, request: web.Request) -> web.Response:
        """Sign out of GitLab; the tokens of applications live on."""
        end(self._instance, request)
        return _see(_SIGN_IN)

    async def authorize(self, request: web.Request) -> web.Response:
        """Ask the user, or approve at once what he or the administrator already approved."""
        sign_in = sign_in_of(self._instance, request)
        prompts = set(request.query.get("prompt", "").split())
        if sign_in is None and "none" not in prompts:
            return _to_sign_in(request.query)
        try:
            wanted = authorization_request(self._instance.oauth, request.query)
        except OAuthError as error:
            # GitLab shows errors here where Doorkeeper would send them back
            # (app/controllers/oauth/authorizations_controller.rb).
            return error_page(error)
        try:
            return self._answer(request, wanted, sign_in, prompts)
        except OAuthError as error:
            return self._back(wanted, error.fields())

    async def decide(self, request: web.Request) -> web.Response:
        """Take the user's answer to the consent page."""
        form = await form_of(request)
        sign_in = sign_in_of(self._instance, request)
        if sign_in is None:
            return _see(_SIGN_IN)
        try:
            wanted = authorization_request(self._instance.oauth, form)
        except OAuthError as error:
            return error_page(error)
        if form.get("_method") == "delete":
            return self._back(wanted, OAuthError("access_denied").fields())
        return self._approved(wanted, sign_in)

    @property
    def _instance(self) -> Instance:
        return self._site.instance

    def _people(self) -> list[User]:
        return [user for user in self._instance.users.values() if not user.bot]

    def _user(self, sign_in: SignIn) -> User:
        return self._instance.users[sign_in.user_id]

    def _answer(
        self,
        request: web.Request,
        wanted: AuthorizationRequest,
        sign_in: SignIn | None,
        prompts: set[str],
    ) -> web.Response:
        """Approve, ask, or raise the OAuthError that the application gets."""
        if forced := self._instance.oauth.tampering.authorize_error:
            raise OAuthError(forced)
        if "none" in prompts:
            return self._silently(wanted, sign_in, prompts)
        if sign_in is None or prompts & _AGAIN or _too_old(sign_in, request.query):
            end(self._instance, request)
            return _to_sign_in(request.query)
        if "consent" in prompts or not has_consent(self._instance, wanted, sign_in.user_id):
            application = self._instance.oauth.applications[wanted.client_id]
            return consent_page(application, self._user(sign_in), request.query)
        return self._approved(wanted, sign_in)

    def _silently(
        self, wanted: AuthorizationRequest, sign_in: SignIn | None, prompts: set[str]
    ) -> web.Response:
        """Answer `prompt=none` without a page (OpenID Connect Core, 3.1.2.1)."""
        if len(prompts) > 1:
            raise OAuthError("invalid_request")
        if sign_in is None:
            raise OAuthError("login_required")
        if not has_consent(self._instance, wanted, sign_in.user_id):
            raise OAuthError("consent_required")
        return self._approved(wanted, sign_in)

    def _approved(self, wanted: AuthorizationRequest, sign_in: SignIn) -> web.Response:
        return self._back(wanted, {"code": grant_code(self._instance, wanted, sign_in)})

    def _back(self, wanted: AuthorizationRequest, answer: Mapping[str, str]) -> web.Response:
        """Redirect to the application with an answer and its own state."""
        state = {"state": wanted.state} if wanted.state else {}
        fields: dict[str, Any] = tampered(
            {**answer, **state}, self._instance.oauth.tampering.callback
        )
        mark = "&" if "?" in wanted.redirect_uri else "?"
        return _see(f"{wanted.redirect_uri}{mark}{urlencode(fields)}")


async def form_of(request: web.Request) -> dict[str, str]:
    """Return the text fields of a form, the first of each name."""
    posted = await request.post()
    return {name: value for name, value in posted.items() if isinstance(value, str)}


def _too_old(sign_in: SignIn, query: Mapping[str, str]) -> bool:
    longest = query.get("max_age", "")
    return longest.isdecimal() and time.time() - sign_in.at > int(longest)


def _to_sign_in(query: Mapping[str, str]) -> web.Response:
    """Send to the sign-in page, and from there back without what asks for it again."""
    left = {name: value for name, value in query.items() if name not in ("prompt", "max_age")}
    return_to = f"/oauth/authorize?{urlencode(left)}"
    return _see(f"{_SIGN_IN}?{urlencode({'return_to': return_to})}")


def _own(path: str) -> str:
    """Return a path on this site, the home page for anything else."""
    return path if path.startswith("/oauth/authorize?") else "/"


def _see(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})
