"""Somebody who walks through MLflow's pages, and writes down what goes wrong on them."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Request, Response, expect

from tests.browser.visitor import Visitor

PATIENCE = 60
# How MLflow's pages show that something failed: alerts and messages in a corner, a page or a part
# of one that stands for what could not be shown, and the headings of those that have no mark.
_SIGNS = (
    *('[role="alert"]', '[class*="notification-notice"]'),
    *(".mlflow-center", '[data-testid="fallback"]', '[data-component-id*="error"]'),
)
_WORDS = r"^error\b|\b(failed|went wrong|not found|couldn.t|can.t|cannot|unable)\b"
# A message in a corner is gone after three seconds: whatever was there at any time counts.
_WATCH = """(([signs, words]) => {
    const seen = window.seenByTests = new Set(), wrong = new RegExp(words, "i");
    const look = () => {
        const headings = [...document.querySelectorAll("h1, h2, h3, h4")];
        const failed = headings.filter((each) => wrong.test(each.textContent));
        for (const each of [...document.querySelectorAll(signs), ...failed])
            if (each.textContent.trim()) seen.add(each.textContent.trim());
    };
    const changes = {childList: true, subtree: true, characterData: true};
    new MutationObserver(look).observe(document, changes);
})"""
_TAKE = """() => {
    const seen = [...window.seenByTests];
    window.seenByTests.clear();
    return seen;
}"""
# Those that are still there, without waiting for one.
_PRESS = "(buttons) => buttons.forEach((each) => each.click())"
_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# As often as that a page is drawn.
_QUIET = 3
_HOLDS = "(marks) => marks.filter((mark) => document.documentElement.outerHTML.includes(mark))"


@dataclass(frozen=True, slots=True)
class Stop:
    """A page: its name here, its address in MLflow, and what it shows, as selectors."""

    name: str
    address: str
    shows: tuple[str, ...]


@dataclass
class Walker:
    """Somebody in a view of MLflow, who must never see any of the `foreign` marks.

    `refused` is what was asked for at each stop and answered with a status from 400 on, `wrong`
    everything else that went wrong there.
    """

    visitor: Visitor
    view: str
    foreign: Sequence[str]
    refused: set[tuple[str, str]] = field(default_factory=set)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    _here: str = ""
    _pending: set[Request] = field(default_factory=set)

    async def start(self) -> None:
        """Watch what happens from the next page on."""
        page = self.visitor.page
        page.on("request", self._asked)
        page.on("requestfinished", self._done)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("pageerror", lambda error: self.wrong.append((self._here, f"uncaught: {error}")))
        await page.add_init_script(f"{_WATCH}({json.dumps([', '.join(_SIGNS), _WORDS])})")
        # MLflow praises the look of its registry once, over the page.
        praise = page.get_by_role("button", name="Try it now")
        await page.add_locator_handler(praise, lambda button: button.evaluate_all(_PRESS))

    async def visit(self, stop: Stop) -> None:
        """Go to a page by its address, and look at it."""
        self._here = stop.name
        await self.visitor.page.goto(self.visitor.url(f"{self.view}#{stop.address}"))
        await self.look(stop)

    async def follow(self, link: str, stop: Stop) -> None:
        """Go to a page by the first link of a name that this page has, and look at it."""
        self._here = stop.name
        main = self.visitor.page.get_by_role("main")
        await main.get_by_role("link", name=link, exact=True).first.click()
        await self.look(stop)

    async def look(self, stop: Stop) -> None:
        """Wait until a page shows what it should and has all answers; then see what is wrong."""
        page = self.visitor.page
        for selector in stop.shows:
            wanted = page.locator(selector).filter(visible=True).first
            await expect(wanted, f"{stop.name}: {selector}").to_be_visible()
        async with asyncio.timeout(PATIENCE):
            await self._settle()
        self.wrong += [(stop.name, text) for text in await page.evaluate(_TAKE)]
        self.wrong += [(stop.name, mark) for mark in await page.evaluate(_HOLDS, [*self.foreign])]

    async def _settle(self) -> None:
        """Wait until the page has all answers, and asks nothing more of what it makes of them."""
        quiet = 0
        while quiet < _QUIET:
            await self.visitor.page.evaluate(_DRAWN)
            quiet = 0 if self._pending else quiet + 1

    def _asked(self, request: Request) -> None:
        self._pending.add(request)

    def _done(self, request: Request) -> None:
        self._pending.discard(request)

    def _failed(self, request: Request) -> None:
        self._pending.discard(request)
        # The page itself takes back what it no longer needs.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append((self._here, f"{request.url}: {request.failure}"))

    def _answered(self, answer: Response) -> None:
        if answer.status >= 400:
            path = urlsplit(answer.url).path.rpartition("/mlflow/")[2]
            self.refused.add((self._here, f"{answer.request.method} {path} {answer.status}"))
