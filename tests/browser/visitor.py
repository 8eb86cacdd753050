"""Somebody at a browser."""

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import ConsoleMessage, Locator, Page, Response

from tests.servers.stack import Stack

# What Chromium writes about the status of a page itself, which is no defect of the page.
_STATUS = "Failed to load resource: the server responded with a status of"
_FETCH = """async ([url, method, body, kind]) => {
    const headers = body === null ? {} : {"content-type": kind};
    const answer = await fetch(url, {method, body, headers});
    return [answer.status, await answer.text()];
}"""


@dataclass
class Visitor:
    """The browser of a GitLab user, before one of our sites.

    `asked` are the addresses that it has asked for, `complaints` what its console says.
    """

    page: Page
    stack: Stack
    user: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def url(self, path: str) -> str:
        """Return the address of a path of the site."""
        return f"{self.stack.public_url}{path}"

    async def open(self, path: str) -> Response:
        """Go to a path of the site."""
        answer = await self.page.goto(self.url(path))
        assert answer is not None, "the page was there already"
        return answer

    async def sign_in(self, path: str = "/auth/") -> None:
        """Open a page without a session, and come back to where GitLab sends its user."""
        await self.open(path)
        await self.page.get_by_role("link", name="Sign in with GitLab").click()
        await self.pass_gitlab()
        await self.arrive()

    async def pass_gitlab(self, *, decision: str = "Authorize") -> None:
        """Answer GitLab's two questions: who it is, and whether we may act for him."""
        await self.page.locator(f'button[value="{self.user}"]').click()
        await self.page.get_by_role("button", name=decision).click()

    async def arrive(self, path: str = "/**") -> None:
        """Wait until the browser has loaded an address of the site."""
        await self.page.wait_for_url(self.url(path))

    async def until_shown(self, wanted: Locator, *, wait: float = 20) -> None:
        """Load a page of ours again until it shows something: answers are kept for a second."""
        deadline = time.monotonic() + wait
        while not await wanted.count():
            assert time.monotonic() < deadline, f"{wanted} is not on {self.page.url}"
            await self.page.reload()

    async def fetch(
        self,
        path: str,
        method: str = "GET",
        body: str | None = None,
        *,
        kind: str = "application/json",
    ) -> "Fetched":
        """Call something as a script of the page; the address is relative to it.

        Our own pages let no script do so.
        """
        return Fetched(*await self.page.evaluate(_FETCH, [path, method, body, kind]))

    async def status_of(self, path: str) -> int:
        """Return what a call with the browser's cookies is answered, whatever page is shown."""
        return (await self.page.context.request.get(self.url(path))).status

    async def cookies(self) -> dict[str, dict[str, Any]]:
        """Return the cookies that the site has set, by name; the demo GitLab has one too."""
        jar = await self.page.context.cookies()
        return {str(cookie["name"]): dict(cookie) for cookie in jar if "mlflow" in cookie["name"]}

    def asked_of_us(self) -> list[str]:
        """Return the paths that were asked for at the origin of the site."""
        parts = [urlsplit(url) for url in self.asked]
        ours = urlsplit(self.stack.public_url)
        return [part.path for part in parts if part[:2] == ours[:2]]

    def _console(self, message: ConsoleMessage) -> None:
        own = message.location.get("url", "").partition("#")[0] == self.page.url.partition("#")[0]
        if not (message.text.startswith(_STATUS) and own):
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a script of a page was answered."""

    status: int
    text: str
