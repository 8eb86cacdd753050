"""Somebody with a browser: it keeps our cookies, follows our redirects and signs in at GitLab.

visitor = Visitor(stack, "ann")
assert visitor.visit("/acme/vision/tracking/?x=1").url == f"{stack.public_url}/acme/..."
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from extauthz.edge.cookies import own_name
from extauthz.edge.credentials import SESSION_COOKIE
from extauthz.edge.site import Site
from tests.gitlab_browser import Browser
from tests.servers.stack import Stack

Headers = Iterable[tuple[str, str]]
NAVIGATION: Final = (
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "none"),
)
_HANDSHAKE: Final = "mlflow-login-"
_MOST_STEPS: Final = 12
# What browsers keep of a cookie: name and value, and each attribute (RFC 6265bis, 5.6).
_LARGEST_COOKIE: Final = 4096


@dataclass(frozen=True, slots=True)
class Cookie:
    """A Set-Cookie header, taken apart; names of attributes are in lower case."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def read(cls, header: str) -> Self:
        """Read a header's value."""
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        pairs = (attribute.partition("=") for attribute in attributes)
        return cls(name, value, {key.lower(): value for key, _, value in pairs})

    @property
    def path(self) -> str:
        """The path below which it is sent."""
        return self.attributes["path"]

    @property
    def gone(self) -> bool:
        """Whether a browser forgets it."""
        return int(self.attributes["max-age"]) <= 0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a browser got from us; header names are in lower case."""

    url: str
    status: int
    headers: tuple[tuple[str, str], ...]
    text: str

    def header(self, name: str) -> str:
        """Return the one value of a header, nothing if it is not there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return "".join(values)

    @property
    def location(self) -> str:
        """Where it leads on, as an address."""
        location = self.header("location")
        return urljoin(self.url, location) if location else ""

    @property
    def cookies(self) -> list[Cookie]:
        """The cookies that it sets."""
        return [Cookie.read(value) for name, value in self.headers if name == "set-cookie"]

    @property
    def links(self) -> dict[str, str]:
        """The addresses of links by their text."""
        reader = _Reader()
        reader.feed(self.text)
        return {text: urljoin(self.url, address) for text, address in reader.links.items()}

    @property
    def tags(self) -> set[str]:
        """The elements of the page."""
        reader = _Reader()
        reader.feed(self.text)
        return reader.tags


@dataclass(slots=True)
class Visitor:
    """One person's browser, at a stack's public URL; at GitLab it signs in as `user`.

    It does not keep cookies whose name has one of `refused` in it.
    """

    stack: Stack
    user: str
    refused: tuple[str, ...] = ()
    cookies: dict[str, Cookie] = field(default_factory=dict)
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser(self.stack.gitlab.url)

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
        """Go to where one signs in; returns where GitLab is asked."""
        shown = self.open(address)
        while not self._is_gitlabs(shown.location):
            assert shown.location, shown
            shown = self.open(shown.location)
        return shown.location

    def sign_in(self, authorization: str, *, consent: bool = True) -> str:
        """Sign in at GitLab; returns where GitLab sends the browser back to."""
        return self.browser.sign_in(authorization, self.user, consent=consent)

    def sign_out(self) -> Shown:
        """Press the button."""
        asked = self.open("/auth/logout")
        assert "Sign out" in asked.text
        return self.post("/auth/logout")

    def post(self, address: str, *headers: tuple[str, str], origin: str | None = "") -> Shown:
        """Send a form of ours, or one of another origin, or one that does not say whose."""
        origin = Site.of(self.stack.public_url).origin if origin == "" else origin
        named = () if origin is None else (("Origin", origin),)
        return self.open(address, headers=(*NAVIGATION[:3], *named, *headers), method="POST")

    def open(self, address: str, *, headers: Headers = NAVIGATION, method: str = "GET") -> Shown:
        """Ask for an address of ours, or for a path below the public URL; follows nothing."""
        url = address if address.startswith("http") else f"{self.stack.public_url}{address}"
        origin = Site.of(self.stack.public_url).origin
        assert url.startswith(f"{origin}/"), f"sent to another site: {url}"
        target = url.removeprefix(origin).partition("#")[0]
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
    def session(self) -> str:
        """The session cookie's value, empty if there is none."""
        cookie = self.cookies.get(self.session_cookie)
        return cookie.value if cookie else ""

    @session.setter
    def session(self, value: str) -> None:
        site = Site.of(self.stack.public_url)
        self.cookies[self.session_cookie] = Cookie(
            self.session_cookie, value, {"path": f"{site.prefix}/"}
        )

    @property
    def session_cookie(self) -> str:
        """The session cookie's name."""
        return own_name(SESSION_COOKIE, Site.of(self.stack.public_url))

    @property
    def handshakes(self) -> list[Cookie]:
        """The cookies of sign-ins under way."""
        return [cookie for name, cookie in self.cookies.items() if _HANDSHAKE in name]

    def _is_gitlabs(self, address: str) -> bool:
        return address.startswith(f"{self.stack.gitlab.url}/")

    def _sent(self, target: str) -> Headers:
        path = target.partition("?")[0]
        cookies = [cookie for cookie in self.cookies.values() if _below(path, cookie.path)]
        pairs = "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)
        return [("Cookie", pairs)] if pairs else []

    def _keep(self, cookie: Cookie) -> None:
        """Do with a cookie what a browser does; one that it would not take is a defect."""
        assert len(cookie.name) + len(cookie.value) <= _LARGEST_COOKIE, cookie.name
        assert ("secure" in cookie.attributes) is self.stack.public_url.startswith("https:")
        assert "domain" not in cookie.attributes
        assert not cookie.name.startswith("__Host-") or cookie.path == "/"
        if cookie.gone:
            self.cookies.pop(cookie.name, None)
        elif not any(name in cookie.name for name in self.refused):
            self.cookies[cookie.name] = cookie


def asked_of(authorization: str) -> dict[str, str]:
    """Return the parameters of an address, each of which it has once."""
    pairs = parse_qsl(urlsplit(authorization).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def changed(address: str, **parameters: str | list[str] | None) -> str:
    """Return an address with other parameters; None takes one away, a list repeats it."""
    place, _, _ = address.partition("?")
    given: dict[str, Any] = {**asked_of(address), **parameters}
    left = {name: value for name, value in given.items() if value is not None}
    return f"{place}?{urlencode(left, doseq=True)}"


def _below(path: str, above: str) -> bool:
    """Tell whether a cookie's path matches (RFC 6265, 5.1.4)."""
    return path == above or (path.startswith(above) and (above.endswith("/") or path[len(above)] == "/"))


class _Reader(HTMLParser):
    """Collects links and elements of a page."""

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
