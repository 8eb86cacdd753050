"""Login in SharingHub mode: SharingHub's own, which sends people back to where they were.

It would send them anywhere, so every address given to it is built from our public URL.
"""

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from extauthz.edge.answers import Decision, Deny, Found
from extauthz.edge.cookies import values_of
from extauthz.edge.credentials import has_token
from extauthz.edge.errors import NotFound, Refusal, Unauthenticated
from extauthz.edge.page import Link
from extauthz.edge.request import Request
from extauthz.edge.scope import Page, View, scope_of
from extauthz.edge.site import Site

# Set when somebody is sent to SharingHub unasked. If he comes back without a session it is no use
# to send him again: its cookie may not reach us, or hold a token that GitLab does not take.
TRIED: Final = "extauthz-login"
_SECONDS_TRIED: Final = 30
_LONGEST_ADDRESS: Final = 2048


class SharingHubLogin:
    """Sends people to SharingHub to sign in and out."""

    def __init__(self, base: str, site: Site, *, session_cookie: str, automatic: bool) -> None:
        """`automatic` sends a browser without a session there at once, instead of a link."""
        self._base = base
        self._site = site
        self._session_cookie = session_cookie
        self._automatic = automatic

    def page(self, page: Page) -> Decision:
        """Lead from our address of a page to SharingHub's."""
        match page.name:
            case "" | "login":
                return Found(self._login(self._site.view(page.project)))
            case "logout":
                return Found(self._logout(self._site.view(page.project)))
            case _:
                raise NotFound("There is no such page.")

    def refuse(self, refusal: Unauthenticated | NotFound, request: Request) -> Decision:
        """Show the way to SharingHub, or take it."""
        denial = Deny(refusal, page=request.navigates, request_id=request.id)
        view = self._view(request)
        if view is None or has_token(request.headers):
            return denial
        cookies = request.headers.get("cookie", "")
        signed_in = bool(values_of(self._session_cookie, cookies))
        way_in = self._login(self._address(view, request.query))
        if isinstance(refusal, NotFound):
            # What a visitor is not shown may be there for somebody.
            return denial if signed_in else replace(denial, link=_link(way_in))
        navigates = request.navigates and request.method == "GET"
        if self._automatic and navigates and not values_of(TRIED, cookies):
            return Found(way_in, cookies=(self._tried(),))
        if signed_in:
            # It was not enough, and SharingHub does not replace it before it has ended.
            way_in = self._logout(self._site.view(view.project, "/auth/login"))
        return replace(denial, link=_link(way_in))

    def _view(self, request: Request) -> View | None:
        try:
            scope = scope_of(request.path, prefix=self._site.prefix)
        except Refusal:
            return None
        return scope if isinstance(scope, View) else None

    def _login(self, back: str) -> str:
        return f"{self._base}/api/auth/login?redirect_uri={quote(back, safe='')}"

    def _logout(self, back: str) -> str:
        return f"{self._base}/api/auth/logout?redirect_uri={quote(back, safe='')}"

    def _address(self, view: View, query: str | None) -> str:
        """Return our address of a view, without the query if that is too long to travel."""
        address = self._site.view(view.project, view.path)
        whole = address if query is None else f"{address}?{query}"
        return whole if len(whole) <= _LONGEST_ADDRESS else address

    def _tried(self) -> str:
        secure = "; Secure" if self._site.secure else ""
        return (
            f"{TRIED}=1; Path={self._site.prefix}/; Max-Age={_SECONDS_TRIED}; HttpOnly; "
            f"SameSite=Lax{secure}"
        )


def _link(address: str) -> Link:
    return Link("Sign in with SharingHub", address)
