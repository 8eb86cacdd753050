"""A page of another origin, and what it may try with our addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from playwright.async_api import Frame, Page

from tests.servers.ports import free_port

# A form cannot send JSON, but text that is JSON, and MLflow does not look at the type.
_SUBMIT = """([url, name, value]) => {
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: url, enctype: "text/plain"});
    const input = document.createElement("input");
    Object.assign(input, {name, value});
    form.append(input);
    document.body.append(form);
    form.submit();
}"""
_SEND = """async ([url, options]) => {
    try {
        const answer = await fetch(url, {credentials: "include", ...options});
        return `${answer.type} ${await answer.text()}`;
    } catch (error) {
        return "";
    }
}"""
_FRAME = """(url) => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.addEventListener("load", resolve);
    frame.src = url;
    document.body.append(frame);
})"""


@dataclass(frozen=True, slots=True)
class ForeignPage:
    """A page of another origin, in the browser of somebody who has a session here."""

    page: Page

    async def submit(self, url: str, name: str = "", value: str = "") -> str:
        """Send a form as the page itself; returns the text of the page that comes instead."""
        async with self.page.expect_navigation(url=url):
            await self.page.evaluate(_SUBMIT, [url, name, value])
        return await self.page.locator("body").inner_text()

    async def send(self, url: str, **options: object) -> str:
        """Let a script send something; returns what it learns, which is nothing for a failure."""
        return str(await self.page.evaluate(_SEND, [url, options]))

    async def frame(self, url: str) -> Frame:
        """Show an address within the page."""
        await self.page.evaluate(_FRAME, url)
        return self.page.frames[-1]

    async def is_refused_a_frame(self, url: str) -> None:
        """Fail if an address lets itself be shown within the page."""
        frame = await self.frame(url)
        # Where Chromium puts an error in place of a page.
        await frame.wait_for_url(lambda shown: shown.startswith("chrome-error:"))


@asynccontextmanager
async def foreign_site() -> AsyncIterator[int]:
    """Serve a page on a port of this machine until the block ends."""

    async def page(_: web.Request) -> web.Response:
        text = "<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>"
        return web.Response(text=text, content_type="text/html")

    app, port = web.Application(), free_port()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield port
    finally:
        await runner.cleanup()
