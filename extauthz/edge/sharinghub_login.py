"""Login in SharingHub mode: SharingHub's own, which sends people back to where they were.

It would send them anywhere, so every address given to it is built from our public URL.
"""

from dataclasses import replace
from urllib.parse import quote

from extauthz.edge.answers import Decision, Deny, Found
from extauthz.edge.cookies import values_of
from extauthz.edge.credentials import has_token
from extauthz.edge.page import Link
from extauthz.edge.refusals import NotFound, Refusal, Unauthenticated
from extauthz.edge.request import Request
from extauthz.edge.scope import Page
from extauthz.edge.site import Site
from extauthz.edge.wanted import address_of, has_tried, tried, wanted_view


class SharingHubLogin:
    """Sends people to SharingHub to sign in and out."""

    def __init__(self, base: str, site: Site, *, session_cookie: str, automatic: bool) -> None:
        """`automatic` sends a browser without a session there at once, instead of a link."""
        self._base = base
        self._site = site
        self._session_cookie = session_cookie
        self._automatic = automatic

    def page(self, page: Page, request: Request) -> Decision:  # noqa: ARG002 - as every login
        """Lead from our address of a page to SharingHub's."""
        match page.name:
            case "" | "login":
                return Found(self._login(self._site.view(page.project)))
            case "logout":
                return Found(self._logout(self._site.view(page.project)))
            case _:
                raise NotFound("There is no such page.")

    def refuse(self, refusal: Refusal, request: Request) -> Decision:
        """Show the way to SharingHub, or take it."""
        denial = Deny(refusal, page=request.navigates, request_id=request.id)
        view = wanted_view(request, self._site)
        could_help = isinstance(refusal, Unauthenticated | NotFound)
        if view is None or not could_help or has_token(request.headers):
            return denial
        signed_in = bool(values_of(self._session_cookie, request.headers.get("cookie", "")))
        way_in = self._login(address_of(view, request.query, self._site))
        if isinstance(refusal, NotFound):
            # What a visitor is not shown may be there for somebody.
            return denial if signed_in else replace(denial, link=_link(way_in))
        # GitLab shows its login, where SharingHub's leads to, in no frame.
        navigates = request.navigates and request.method == "GET" and request.fills_the_window
        # Back without a session, its cookie may not reach us, or hold a token GitLab does not take.
        if self._automatic and navigates and not has_tried(request, self._site):
            return Found(way_in, cookies=(tried(self._site),))
        if signed_in:
            # It was not enough, and SharingHub does not replace it before it has ended.
            way_in = self._logout(self._site.view(view.project, "/auth/login"))
        return replace(denial, link=_link(way_in))

    def _login(self, back: str) -> str:
        return f"{self._base}/api/auth/login?redirect_uri={quote(back, safe='')}"

    def _logout(self, back: str) -> str:
        return f"{self._base}/api/auth/logout?redirect_uri={quote(back, safe='')}"


def _link(address: str) -> Link:
    return Link("Sign in with SharingHub", address)
