"""Cross-site requests: what a browser sends because another site told it to.

Browsers say where a request comes from in Origin and Sec-Fetch-Site, which no page can forge
(Fetch Standard). MLflow itself checks neither on all of its routes.
"""

import re
from itertools import islice
from typing import Final

from extauthz.edge.cookies import expired
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.refusals import BadRequest, Forbidden
from extauthz.edge.request import Request
from extauthz.edge.site import Site

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS: Final = "same-origin"
# What a browser sends along by itself, whoever asked it to.
_AMBIENT: Final = frozenset({Kind.SESSION, Kind.SHARINGHUB_SESSION})
# MLflow's page makes a request header of every cookie that is named so, and a sibling domain can
# set one.
_HEADER_COOKIE: Final = "mlflow-request-header-"
# Envoy limits the headers of an answer.
_MOST_FORGOTTEN: Final = 60
_HEADER_COOKIE_NAME: Final = re.compile(rf"{_HEADER_COOKIE}[A-Za-z0-9!#$%&'*+.^_`|~-]*")


def refuse_header_cookies(request: Request, site: Site) -> None:
    """Refuse what could set headers in MLflow's page; raises BadRequest."""
    cookies = request.headers.get("cookie", "")
    if _HEADER_COOKIE in cookies:
        names = sorted(set(_HEADER_COOKIE_NAME.findall(cookies)))
        ends = (end for name in names for end in expired(name, site, request.path))
        raise BadRequest(
            "Your browser had a cookie that would change what MLflow's page sends. It was told to "
            "forget it: try again, and delete this site's cookies if that does not help.",
            cookies=list(islice(ends, _MOST_FORGOTTEN)),
        )


def refuse_foreign(request: Request, site: Site) -> None:
    """Refuse a change that a page of another origin asks for; raises Forbidden."""
    origin = request.headers.get("origin", site.origin)
    relation = request.headers.get("sec-fetch-site", _OURS)
    if request.method not in _SAFE and (origin != site.origin or relation != _OURS):
        raise Forbidden(f"A page may change things here only if it comes from {site.origin}.")


def refuse_unexplained(request: Request, credential: Credential) -> None:
    """Refuse a change that no page is named for, if a browser may have added the credential.

    Raises Forbidden.
    """
    if credential.kind in _AMBIENT or _is_basic_of_a_browser(request):
        refuse_unnamed(request)


def refuse_unnamed(request: Request) -> None:
    """Refuse a change that no page is named for; raises Forbidden."""
    named = "origin" in request.headers or "sec-fetch-site" in request.headers
    if request.method not in _SAFE and not named:
        raise Forbidden(
            "The request does not say which page it comes from. Use a current browser, or send "
            "a GitLab token."
        )


def _is_basic_of_a_browser(request: Request) -> bool:
    basic = request.headers.get("authorization", "").lower().startswith("basic")
    return basic and any(name.startswith("sec-fetch-") for name in request.headers)
