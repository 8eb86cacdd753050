"""What somebody wanted before he was sent to sign in, and where he is sent back to."""

import re
from typing import Final

from extauthz.edge.cookies import own_cookie, own_name, values_of
from extauthz.edge.refusals import Refusal
from extauthz.edge.request import Request
from extauthz.edge.scope import Page, Scope, Tracking, is_project_path, scope_of
from extauthz.edge.site import Site

# It travels in a cookie, and in an address.
_LONGEST_ADDRESS: Final = 1024
_QUERY: Final = re.compile(r"[\x21-\x7e]*")
# Set when somebody is sent to sign in unasked. If he comes back and is still nobody, it is no use
# to send him again.
_TRIED: Final = "extauthz-login"
_SECONDS_TRIED: Final = 30


def wanted_view(request: Request, site: Site) -> Tracking | None:
    """Return the view that a request is for."""
    scope = _scope(request.path, site)
    return scope if isinstance(scope, Tracking) else None


def address_of(view: Tracking, query: str | None, site: Site) -> str:
    """Return our address of a view, or of where it begins if that is too long to travel."""
    address = site.view(view.project, view.path)
    whole = address if query is None else f"{address}?{query}"
    return whole if len(whole) <= _LONGEST_ADDRESS else site.view(view.project)


def own_address(target: str, site: Site) -> str | None:
    """Return our address of a target, None if it is neither in a view nor leads to one.

    Built from what was understood of it, so that no redirect leads anywhere else (CWE-601).
    """
    path, mark, query = target.partition("?")
    match _scope(path, site):
        case Tracking() as view if _QUERY.fullmatch(query):
            return address_of(view, query if mark else None, site)
        case Page(number=int(number)):
            return site.view(None, f"/auth/p/{number}")
        case _:
            return None


def project_address(project: str, site: Site) -> str | None:
    """Return the address of a project's view, None for what cannot be the path of a project."""
    return site.view(project) if is_project_path(project) else None


def tried(site: Site) -> str:
    """Return the Set-Cookie value that tells that somebody was sent to sign in."""
    return own_cookie(_TRIED, "1", site, seconds=_SECONDS_TRIED)


def has_tried(request: Request, site: Site) -> bool:
    """Tell whether somebody was sent to sign in a moment ago."""
    return bool(values_of(own_name(_TRIED, site), request.headers.get("cookie", "")))


def _scope(path: str, site: Site) -> Scope | None:
    try:
        return scope_of(path, prefix=site.prefix)
    except Refusal:
        return None
