"""The bar above MLflow's page, alone in a tab and in a frame of another site."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import FrameLocator, Locator, Page, Route, expect

from tests.browser.conftest import Backend, Visit
from tests.browser.experiments import experiment_in
from tests.browser.foreign import ForeignPage, foreign_site
from tests.browser.gateways import gateway_at
from tests.browser.visitor import Visitor
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.mlflow import mlflow
from tests.servers.ports import free_port
from tests.servers.stack import Stack
from tests.tenants import Tenants, unique

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIEW = "**/extauthz/v1/view"
# MLflow asks for what is switched off, and Chromium says of each that it was refused.
REFUSED = "error: Failed to load resource: the server responded with a status of"
ON_TOP = """([x, y]) => {
    const there = document.elementFromPoint(x, y);
    return there !== null && there.closest("#root") !== null;
}"""
GAPS = """() => {
    const box = (selector) => document.querySelector(selector).getBoundingClientRect();
    const bar = box("extauthz-bar"), root = box("#root"), all = document.documentElement;
    return [bar.top, root.top - bar.bottom, innerHeight - root.bottom,
            all.scrollHeight - innerHeight, all.scrollWidth - innerWidth];
}"""
COLOURS = """() => {
    const nav = document.querySelector("extauthz-bar").shadowRoot.querySelector("nav");
    return [getComputedStyle(nav).backgroundColor, getComputedStyle(nav).color];
}"""


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


@dataclass(frozen=True, slots=True)
class Framed:
    """A site that pages at two ports of this machine may show in a frame, and one that may not."""

    tenants: Tenants
    allowed: int
    other: int


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ports() -> AsyncIterator[tuple[int, int]]:
    async with foreign_site() as allowed, foreign_site() as other:
        yield allowed, other


@pytest.fixture(scope="module")
def framed(
    backend: Backend, ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Framed]:
    allowed, other = ports
    port, folder = free_port(), tmp_path_factory.mktemp("framed")
    env = {"FRAME_ANCESTORS": f"http://127.0.0.1:{allowed}, http://localhost:{allowed}"}
    url = f"http://127.0.0.1:{port}"
    with (
        mlflow(folder, env=env) as server,
        gateway_at(folder, backend.gitlab, server, url, port=port, settings=env) as site,
    ):
        yield Framed(Tenants(site), allowed, other)


def bar_of(page: Page | FrameLocator) -> Locator:
    return page.get_by_role("navigation", name="Project and session")


def is_content(visitor: Visitor) -> None:
    """Hold that the browser complains of nothing but what MLflow is refused."""
    assert [said for said in visitor.complaints if not said.startswith(REFUSED)] == []
    assert [said for said in visitor.complaints if "extauthz" in said] == []


async def links_in(bar: Locator) -> dict[str, str | None]:
    links = await bar.get_by_role("link").all()
    return {await link.inner_text(): await link.get_attribute("href") for link in links}


async def test_a_developer_sees_the_project_and_the_ways_on(tenants: Tenants, visit: Visit) -> None:
    project, gitlab = tenants.project(), tenants.stack.gitlab.url
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in(f"/{project.path}/tracking/")
    bar = bar_of(visitor.page)

    await expect(bar.get_by_role("link", name=project.path)).to_be_visible()
    assert await links_in(bar) == {
        project.path: f"{gitlab}/{project.path}",
        "Home": visitor.url("/"),
        "Sign out": visitor.url("/auth/logout"),
    }
    await expect(bar.get_by_role("button")).to_have_count(0)
    await expect(bar.get_by_text("Read only")).to_have_count(0)
    await expect(bar.get_by_role("link", name="Sign out")).to_have_attribute(
        "title", f"Signed in as {visitor.user}"
    )
    await bar.get_by_role("link", name="Home").click()
    await visitor.arrive("/")
    await expect(bar.get_by_text("All projects", exact=True)).to_be_visible()
    await bar.get_by_role("link", name="Sign out").click()
    await visitor.arrive("/auth/logout")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign out of MLflow?")
    is_content(visitor)


async def test_a_guest_sees_that_he_only_reads_and_why(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(GUEST))
    await visitor.sign_in(f"/{project.path}/tracking/")
    bar = bar_of(visitor.page)
    mark, why = bar.get_by_role("button", name="Read only"), bar.get_by_text("Developer or above")

    await expect(mark).to_be_visible()
    await expect(why).to_be_hidden()
    # From the first link on, without a mouse.
    await bar.get_by_role("link", name=project.path).focus()
    await visitor.page.keyboard.press("Tab")
    await expect(mark).to_be_focused()
    await visitor.page.keyboard.press("Enter")
    await expect(why).to_be_visible()
    await visitor.page.keyboard.press("Escape")
    await expect(why).to_be_hidden()
    for name in ("Home", "Sign out"):
        await visitor.page.keyboard.press("Tab")
        await expect(bar.get_by_role("link", name=name)).to_be_focused()
    await mark.click()
    await expect(why).to_be_visible()
    await visitor.page.mouse.click(600, 400)
    await expect(why).to_be_hidden()
    is_content(visitor)


async def test_everything_together_is_marked_as_read_only(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    experiment_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in("/")
    bar = bar_of(visitor.page)

    await expect(bar.get_by_text("All projects", exact=True)).to_be_visible()
    await bar.get_by_role("button", name="Read only").click()
    await expect(bar.get_by_text("use the address of one project")).to_be_visible()
    assert set(await links_in(bar)) == {"Home", "Sign out"}
    is_content(visitor)


@pytest.mark.parametrize("width", [1280, 500])
async def test_it_covers_nothing_of_mlflows(tenants: Tenants, visit: Visit, width: int) -> None:
    project = tenants.project("/".join([unique("group-with-a-long-name")] * 4))
    visitor = await visit(
        tenants.stack, project.member(GUEST), viewport={"width": width, "height": 700}
    )
    page = visitor.page
    await visitor.sign_in(f"/{project.path}/tracking/#/experiments")
    await expect(bar_of(page).get_by_role("button", name="Read only")).to_be_visible()
    settings = page.get_by_role("link", name="Settings")
    await expect(settings).to_be_visible()

    # MLflow is too large for a moment, while it loads.
    await page.wait_for_function(f"() => ({GAPS})().every((gap) => gap === 0)")
    for control in (settings, page.get_by_role("link", name="Experiments").first):
        box = await control.bounding_box()
        assert box is not None
        centre = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        assert await page.evaluate(ON_TOP, centre)
    # However long the path, the ways on stay in sight.
    box = await bar_of(page).get_by_role("link", name="Sign out").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= width


async def test_it_is_dark_where_mlflow_is(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(DEVELOPER), color_scheme="dark")
    await visitor.sign_in(f"/{project.path}/tracking/")
    await expect(bar_of(visitor.page).get_by_role("link", name="Home")).to_be_visible()
    seen = {}
    for switch in ("false", "true"):
        await visitor.page.evaluate(
            "is => localStorage.setItem('_mlflow_dark_mode_toggle_enabled', is)", switch
        )
        await visitor.page.reload()
        await expect(bar_of(visitor.page).get_by_role("link", name="Home")).to_be_visible()
        await expect(visitor.page.get_by_role("link", name="Settings")).to_be_visible()
        seen[switch] = await visitor.page.evaluate(COLOURS)
    assert seen["false"] == ["rgb(241, 244, 247)", "rgb(79, 95, 107)"]
    assert seen["true"] == ["rgb(23, 29, 34)", "rgb(169, 182, 194)"]


@pytest.mark.parametrize(
    "evil",
    [
        '<img src=x onerror="window.hacked=1">',
        "</nav><script>window.hacked=1</script>",
        "javascript:window.hacked=1//",
        '" onmouseover="window.hacked=1',
        "data:text/html,<script>opener.hacked=1</script>",
    ],
)
async def test_whatever_the_answer_holds_is_text(tenants: Tenants, visit: Visit, evil: str) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page, links = visitor.page, {"project": evil, "home": evil, "logout": evil}
    view = {"view": evil, "role": evil, "project": evil, "name": evil, "why": evil, "links": links}

    async def answer(route: Route) -> None:
        await route.fulfill(body=json.dumps(view), content_type="application/json")

    await page.route(VIEW, answer)
    await visitor.sign_in(f"/{project.path}/tracking/")
    bar = bar_of(page)
    await expect(bar.get_by_text(evil).first).to_be_visible()
    await bar.get_by_role("button", name="Read only").click()
    await expect(bar.get_by_text(evil)).to_have_count(2)

    # Nothing but what the script itself makes, and no address that it did not know for one.
    made = await bar.evaluate("nav => [...nav.querySelectorAll('*')].map(each => each.localName)")
    assert sorted(made) == ["button", "div", "div", "span"]
    assert not await page.evaluate("'hacked' in window")
    # With addresses that are some, names are text in links as well.
    links.update(dict.fromkeys(links, "https://gitlab.example.org/?<b>&'\""))
    await page.reload()
    await bar.get_by_role("link", name="Sign out").hover()
    assert set(await links_in(bar)) == {evil, "Home", "Sign out"}
    assert not await page.evaluate("'hacked' in window")
    is_content(visitor)


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, "{}"), (401, "{}"), (200, "<!doctype html>"), (200, "null"), (200, "{}"), (0, "")],
)
async def test_without_an_answer_there_is_mlflow_alone(
    tenants: Tenants, visit: Visit, status: int, body: str
) -> None:
    project = tenants.project()
    name = experiment_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page = visitor.page

    async def answer(route: Route) -> None:
        if status:
            await route.fulfill(status=status, body=body)
        else:
            await route.abort()

    await page.route(VIEW, answer)
    await visitor.sign_in(f"/{project.path}/tracking/#/experiments")
    await expect(page.get_by_role("link", name=name)).to_be_visible()
    await expect(page.locator("extauthz-bar")).to_have_count(0)
    assert await page.evaluate("document.querySelector('#root').offsetHeight === innerHeight")
    # Neither an error nor a rejection that nobody took.
    failed = ("error: Failed to load resource", "error: The resource")
    assert [said for said in visitor.complaints if not said.startswith(failed)] == []


async def test_in_a_frame_of_a_site_that_may_it_reloads_and_opens_a_tab(
    framed: Framed, visit: Visit
) -> None:
    project = framed.tenants.project()
    name = experiment_in(project)
    visitor = await visit(framed.tenants.stack, project.member(GUEST))
    page, view = visitor.page, f"/{project.path}/tracking/"
    await visitor.sign_in(view)
    for button in ("Reload", "Open in new tab"):
        await expect(bar_of(page).get_by_text(button)).to_have_count(0)
    # Of the same site, so that the browser sends our cookie.
    await page.goto(f"http://127.0.0.1:{framed.allowed}/")
    await ForeignPage(page).frame(visitor.url(view))
    # As large as SharingHub makes it.
    await page.locator("iframe").evaluate("frame => { frame.width = 1200; frame.height = 1280 }")
    frame = page.frame_locator("iframe")
    bar = bar_of(frame)

    await expect(bar.get_by_role("button", name="Read only")).to_be_visible()
    await expect(bar.get_by_role("link", name=project.path)).to_have_attribute("target", "_blank")
    # MLflow works there, and changes its address without a word.
    await frame.get_by_role("link", name="Experiments").first.click()
    await expect(frame.get_by_role("link", name=name)).to_be_visible()
    async with page.context.expect_page() as opened:
        await bar.get_by_role("link", name="Open in new tab").click()
    tab = await opened.value
    await expect(tab.get_by_role("link", name=name)).to_be_visible()
    assert tab.url.startswith(visitor.url(f"{view}#/experiments"))
    assert await tab.evaluate("window.opener") is None
    await tab.close()

    another = experiment_in(project)
    await bar.get_by_role("button", name="Reload").click()
    await expect(frame.get_by_role("link", name=another)).to_be_visible()
    await expect(bar.get_by_role("button", name="Reload")).to_be_visible()
    # Our page that asks about it is shown in no frame.
    await bar.get_by_role("link", name="Sign out").click()
    await visitor.arrive("/auth/logout")
    is_content(visitor)


async def test_in_a_frame_one_may_reload_when_there_is_no_answer(
    framed: Framed, visit: Visit
) -> None:
    project = framed.tenants.project()
    visitor = await visit(framed.tenants.stack, project.member(GUEST))
    page, view = visitor.page, f"/{project.path}/tracking/"
    await visitor.sign_in(view)
    await page.goto(f"http://127.0.0.1:{framed.allowed}/")
    await page.route(VIEW, lambda route: route.fulfill(status=503, body="{}"))
    await ForeignPage(page).frame(visitor.url(view))
    bar = bar_of(page.frame_locator("iframe"))
    await expect(bar.get_by_role("link", name="Open in new tab")).to_be_visible()
    await page.unroute(VIEW)
    await bar.get_by_role("button", name="Reload").click()
    await expect(bar.get_by_role("link", name="Sign out")).to_be_visible()


async def test_in_a_frame_of_another_site_one_is_shown_the_way_in_which_opens_on_top(
    framed: Framed, visit: Visit
) -> None:
    project = framed.tenants.project()
    visitor = await visit(framed.tenants.stack, project.member(GUEST))
    page, view = visitor.page, f"/{project.path}/tracking/"
    # Of another site, so that the browser sends no cookie of ours, whoever is signed in.
    for sign_in_first in (False, True):
        if sign_in_first:
            await visitor.sign_in(view)
        await page.goto(f"http://localhost:{framed.allowed}/")
        await ForeignPage(page).frame(visitor.url(view))
        way_in = page.frame_locator("iframe").get_by_role("link", name="Sign in with GitLab")
        await expect(way_in).to_be_visible()
    await visitor.page.context.clear_cookies()
    await way_in.click()
    # GitLab only asks who it is by now.
    await page.locator(f'button[value="{visitor.user}"]').click()
    await visitor.arrive(view)
    await expect(bar_of(page).get_by_role("link", name="Sign out")).to_be_visible()


async def test_whoever_may_not_shows_nothing_in_a_frame(framed: Framed, visit: Visit) -> None:
    """Threat 122."""
    project = framed.tenants.project()
    visitor = await visit(framed.tenants.stack, project.member(GUEST))
    view = f"/{project.path}/tracking/"
    for sign_in_first in (False, True):
        if sign_in_first:
            await visitor.sign_in(view)
        for host in ("127.0.0.1", "localhost"):
            await visitor.page.goto(f"http://{host}:{framed.other}/")
            for path in (view, "/", "/a/b/tracking/", f"{view}extauthz/v1/view", "/auth/"):
                await ForeignPage(visitor.page).is_refused_a_frame(visitor.url(path))


async def test_no_site_shows_a_page_with_a_button_in_a_frame(framed: Framed, visit: Visit) -> None:
    """Whoever may show MLflow must not have people press what signs them out."""
    visitor = await visit(framed.tenants.stack, framed.tenants.user())
    for sign_in_first in (False, True):
        if sign_in_first:
            await visitor.sign_in()
        await visitor.page.goto(f"http://127.0.0.1:{framed.allowed}/")
        for path in ("/auth/", "/auth/logout"):
            await ForeignPage(visitor.page).is_refused_a_frame(visitor.url(path))
