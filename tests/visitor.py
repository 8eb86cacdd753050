"""Somebody with a browser: it keeps our cookies, follows our redirects and signs in at GitLab.

visitor = Visitor(stack, "ann")
shown = visitor.visit("/acme/vision/tracking/?x=1")
visitor.visit(shown.links["Sign in with GitLab"])
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from extauthz.edge.cookies import own_name
from extauthz.edge.credentials import SESSION_COOKIE
from extauthz.edge.page import SECURITY_POLICY
from extauthz.edge.site import Site
from tests.gitlab_browser import Browser
from tests.polling import eventually
from tests.servers.stack import Stack

Headers = Iterable[tuple[str, str]]
# What a browser sends when somebody follows a link, and where he comes from.
_LINK: Final = (
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
)
NAVIGATION: Final = (*_LINK, ("Sec-Fetch-Site", "none"))
_HANDSHAKE: Final = "mlflow-login-"
_OURS: Final = "ours"
_MOST_STEPS: Final = 12
# What browsers keep of a cookie: name and value (RFC 6265bis, 5.6).
_LARGEST_COOKIE: Final = 4096


@dataclass(frozen=True, slots=True)
class Cookie:
    """A Set-Cookie header, taken apart; names of attributes are in lower case."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def read(cls, header: str) -> Self:
        """Read the value of a header."""
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        pairs = (attribute.partition("=") for attribute in attributes)
        return cls(name, value, {key.lower(): value for key, _, value in pairs})

    @property
    def path(self) -> str:
        """The path below which it is sent."""
        return self.attributes["path"]

    @property
    def key(self) -> str:
        """What tells it from others in a browser: its name, beside those of whole domains."""
        domain = self.attributes.get("domain", "")
        return f"{self.name} of {domain}" if domain else self.name

    @property
    def gone(self) -> bool:
        """Whether a browser forgets it."""
        return int(self.attributes["max-age"]) <= 0

    def goes_to(self, path: str) -> bool:
        """Tell whether it is sent with a path (RFC 6265, 5.1.4)."""
        rest = path.removeprefix(self.path)
        return rest != path and (self.path.endswith("/") or rest[:1] in ("", "/"))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a browser got from us; header names are in lower case."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    def header(self, name: str) -> str:
        """Return the value of a header that comes once, nothing if it is not there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return "".join(values)

    @property
    def location(self) -> str:
        """The address that it leads on to."""
        location = self.header("location")
        return _joined(self.url, location) if location else ""

    @property
    def cookies(self) -> list[Cookie]:
        """The cookies that it sets."""
        return [Cookie.read(value) for name, value in self.headers if name == "set-cookie"]

    @property
    def links(self) -> dict[str, str]:
        """The addresses of its links, by their text."""
        return {text: _joined(self.url, address) for text, address in self._read().links.items()}

    @property
    def tags(self) -> set[str]:
        """The elements of the page."""
        return self._read().tags

    def _read(self) -> "_Reader":
        reader = _Reader()
        reader.feed(self.text)
        return reader


@dataclass(slots=True)
class Visitor:
    """The browser of a GitLab user, before one of our sites.

    It does not keep cookies whose name has one of `refused` in it.
    """

    stack: Stack
    user: str
    refused: tuple[str, ...] = ()
    cookies: dict[str, Cookie] = field(default_factory=dict)
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser(self.stack.gitlab.url)

    @property
    def site(self) -> Site:
        """Where people reach us."""
        return Site.of(self.stack.public_url)

    def url(self, path: str) -> str:
        """Return the address of a path below the public URL."""
        return f"{self.stack.public_url}{path}"

    def visit(self, address: str, *, consent: bool = True) -> Shown:
        """Go to an address and on to wherever it leads; signs in at GitLab on the way."""
        shown = self.open(address)
        for _ in range(_MOST_STEPS):
            if not shown.location:
                return shown
            address = shown.location
            if self._is_gitlabs(address):
                address = self.sign_in(address, consent=consent)
            shown = self.open(address)
        raise AssertionError(f"sent in circles, the last time to {shown.location}")

    def begin(self, address: str = "/auth/login") -> str:
        """Go to an address from which one is sent to GitLab; returns where exactly."""
        shown = self.open(address)
        while not self._is_gitlabs(shown.location):
            assert shown.location, (shown.status, shown.text)
            shown = self.open(shown.location)
        return shown.location

    def sign_in(self, authorization: str, *, consent: bool = True) -> str:
        """Sign in at GitLab; returns where GitLab sends the browser back to."""
        return self.browser.sign_in(authorization, self.user, consent=consent)

    def sign_out(self) -> Shown:
        """Press the button that signs out."""
        assert "form" in self.open("/auth/logout").tags
        return self.post("/auth/logout")

    def post(self, address: str, *headers: tuple[str, str], origin: str | None = _OURS) -> Shown:
        """Send a form that is ours, or of another origin; None does not say of which."""
        origin = self.site.origin if origin == _OURS else origin
        named = [] if origin is None else [("Origin", origin)]
        return self.open(address, headers=(*_LINK, *named, *headers), method="POST")

    def open(self, address: str, *, headers: Headers = NAVIGATION, method: str = "GET") -> Shown:
        """Ask for an address of ours, or for a path below the public URL; follows nothing."""
        url = address if "://" in address.partition("?")[0] else self.url(address)
        assert url.startswith(f"{self.site.origin}/"), f"sent to another site: {url}"
        target = url.removeprefix(self.site.origin).partition("#")[0]
        connection = HTTPConnection("127.0.0.1", self.stack.envoy.port, timeout=60)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in (("Host", urlsplit(url).netloc), *headers, *self._sent(target)):
                connection.putheader(name, value)
            if method == "POST":
                connection.putheader("Content-Length", "0")
            connection.endheaders()
            answer = connection.getresponse()
            received = tuple((name.lower(), value) for name, value in answer.getheaders())
            shown = Shown(url, answer.status, received, answer.read().decode())
        finally:
            connection.close()
        for cookie in shown.cookies:
            self._keep(cookie)
        return shown

    @property
    def session_cookie(self) -> str:
        """The name of the cookie with the session."""
        return own_name(SESSION_COOKIE, self.site)

    @property
    def session(self) -> str:
        """The value of the cookie with the session, empty if there is none."""
        cookie = self.cookies.get(self.session_cookie)
        return cookie.value if cookie else ""

    @property
    def handshakes(self) -> list[Cookie]:
        """The cookies of sign-ins under way."""
        return [cookie for name, cookie in self.cookies.items() if _HANDSHAKE in name]

    def plant(self, name: str, value: str, *, domain: str = "") -> None:
        """Put a cookie into the browser that we did not set, maybe of a whole domain."""
        attributes = {"path": f"{self.site.prefix}/"} | ({"domain": domain} if domain else {})
        cookie = Cookie(name, value, attributes)
        self.cookies[cookie.key] = cookie

    def _is_gitlabs(self, address: str) -> bool:
        return address.startswith(f"{self.stack.gitlab.url}/")

    def _sent(self, target: str) -> list[tuple[str, str]]:
        path = target.partition("?")[0]
        cookies = [cookie for cookie in self.cookies.values() if cookie.goes_to(path)]
        pairs = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)
        return [("Cookie", pairs)] if pairs else []

    def _keep(self, cookie: Cookie) -> None:
        """Do with a cookie what a browser does; one that it would not take is a defect."""
        if cookie.gone:
            kept = self.cookies.get(cookie.key)
            if kept and kept.path == cookie.path:
                del self.cookies[cookie.key]
            return
        assert len(cookie.name) + len(cookie.value) <= _LARGEST_COOKIE, cookie.name
        assert ("secure" in cookie.attributes) is self.site.secure
        assert "domain" not in cookie.attributes
        assert cookie.path == "/" or not cookie.name.startswith("__Host-")
        if not any(name in cookie.name for name in self.refused):
            self.cookies[cookie.key] = cookie


def is_page(shown: Shown, status: int) -> None:
    """Hold that it is one of our pages: it runs nothing, and nobody but the browser keeps it."""
    assert shown.status == status, shown.text
    assert shown.header("content-type") == "text/html; charset=utf-8"
    assert shown.header("content-security-policy") == SECURITY_POLICY
    assert shown.header("x-content-type-options") == "nosniff"
    assert shown.header("cache-control") == "private, no-store"
    assert not shown.tags & {"script", "img", "iframe", "object", "embed", "link", "base"}


def is_refused(visitor: Visitor, shown: Shown, status: int) -> str:
    """Hold that a page says that nobody was signed in; returns where it leads to try again."""
    is_page(shown, status)
    assert not [each for each in shown.cookies if SESSION_COOKIE in each.name and not each.gone]
    assert not visitor.session
    assert status != 503 or 0 < int(shown.header("retry-after")) <= 60
    (way,) = shown.links.values()
    assert way.partition("?")[0] == visitor.url("/auth/login")
    return way


def recovers(visitor: Visitor, way: str, target: str) -> None:
    """Hold that the way leads on to the target, once GitLab is right and well again."""
    visitor.stack.gitlab.tamper()
    visitor.stack.gitlab.heal()
    eventually(lambda: visitor.visit(way).url, visitor.url(target))
    assert visitor.session
    assert visitor.open(target).status == 200


def asked_of(address: str) -> dict[str, str]:
    """Return the parameters of an address, each of which it has once."""
    pairs = parse_qsl(urlsplit(address).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def changed(address: str, **parameters: str | list[str] | None) -> str:
    """Return an address with other parameters; None takes one away, a list repeats it."""
    place, _, _ = address.partition("?")
    given: dict[str, str | list[str] | None] = {**asked_of(address), **parameters}
    left = {name: value for name, value in given.items() if value is not None}
    return f"{place}?{urlencode(left, doseq=True)}"


def _joined(base: str, address: str) -> str:
    # urljoin takes away a question mark with nothing behind it.
    return address if "://" in address.partition("?")[0] else urljoin(base, address)


class _Reader(HTMLParser):
    """Collects the links and the elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.tags: set[str] = set()
        self._address: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self._address, self._text = dict(attrs)["href"], ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._address is not None:
            assert self._text not in self.links
            self.links[self._text], self._address = self._address, None
