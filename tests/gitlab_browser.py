"""A browser without a screen: cookies, redirects and forms, enough to sign in at the demo GitLab.

browser = Browser(gitlab.url)
callback = browser.sign_in(authorization_url, "ann")
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.client import HTTPMessage
from http.cookiejar import CookieJar
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import (
    BaseHandler,
    HTTPCookieProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    Request,
    build_opener,
)

_MOST_STEPS = 10


class PageShown(Exception):  # noqa: N818 - named for what happened
    """The journey ended on a page; the text says which."""


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, its hidden fields, and its buttons by value or text."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser shows, or where it is sent (`location`)."""

    url: str
    status: int
    location: str
    text: str

    @property
    def forms(self) -> list[Form]:
        """The forms in their order."""
        reader = _FormReader()
        reader.feed(self.text)
        return reader.forms


class Browser:
    """One person's browser; `home` is the site whose redirects it follows."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.cookies = CookieJar()
        handlers: list[BaseHandler] = [HTTPCookieProcessor(self.cookies), _NoRedirects()]
        self._opener: OpenerDirector = build_opener(*handlers)

    def sign_in(self, url: str, user: str, *, consent: bool = True) -> str:
        """Go from an authorization URL to the callback; raises PageShown."""
        page = self.open(url)
        for _ in range(_MOST_STEPS):
            if page.location and not page.location.startswith(f"{self.home}/"):
                return page.location
            if page.location:
                page = self.open(page.location)
            else:
                page = self._answer(page, user, "Authorize" if consent else "Deny")
        raise PageShown(f"still on the way after {_MOST_STEPS} steps: {page.url}")

    def open(self, url: str, form: Mapping[str, str] | None = None) -> Page:
        """Return a page, or what it redirects to, without going there."""
        data = None if form is None else urlencode(form).encode()
        try:
            answer: Any = self._opener.open(Request(url, data), timeout=30)
        except HTTPError as error:
            answer = error
        with answer:
            location = answer.headers.get("Location", "")
            text = answer.read().decode()
        return Page(url, answer.status, urljoin(url, location) if location else "", text)

    def _answer(self, page: Page, user: str, decision: str) -> Page:
        """Press the button of a user, or of a decision, whichever the page has."""
        refused = 'role="alert"' in page.text
        for form in page.forms:
            for name in (user, decision):
                if name in form.buttons and not refused:
                    return self.open(
                        urljoin(page.url, form.action), form.fields | form.buttons[name]
                    )
        raise PageShown(page.text)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self,
        _request: Request,
        _body: IO[bytes],
        _status: int,
        _message: str,
        _headers: HTTPMessage,
        _location: str,
    ) -> None:
        return None


class _FormReader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._button: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given["action"]))
        elif tag == "input":
            self.forms[-1].fields[given["name"]] = given["value"]
        elif tag == "button":
            self._button = {given["name"]: given["value"]} if "name" in given else {}
            if "value" in given:
                self.forms[-1].buttons[given["value"]] = self._button

    def handle_data(self, data: str) -> None:
        if self._button == {}:
            self.forms[-1].buttons[data] = self._button
        self._button = None
