"""Our pages without a mouse and for a screen reader, and what a browser finds wrong with them."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.experiments import experiment_in
from tests.browser.visitor import Visitor
from tests.gitlab import GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")
# What has the focus: its role as far as we have any, its text, and whether one sees it.
FOCUSED = """() => {
    const focused = document.activeElement, style = getComputedStyle(focused);
    const seen = style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
    return [focused.tagName, focused.textContent, seen];
}"""


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


async def reachable(page: Page) -> list[tuple[str, str]]:
    """Go through a page with the Tab key; returns what has the focus in turn, all of it seen."""
    found: list[tuple[str, str]] = []
    for _ in range(await page.locator("a, button").count()):
        await page.keyboard.press("Tab")
        tag, text, seen = await page.evaluate(FOCUSED)
        assert seen, f"nobody sees that the focus is on {text!r} ({tag})"
        found.append((tag, text))
    return found


async def is_sound(visitor: Visitor, title: str) -> None:
    """Fail unless a page of ours has what any page must have, and the browser has no complaint."""
    page = visitor.page
    await expect(page).to_have_title(f"{title} · MLflow")
    await expect(page.locator("h1")).to_have_count(1)
    await expect(page.get_by_role("main").get_by_role("heading", level=1)).to_have_text(title)
    await expect(page.get_by_role("banner")).to_have_count(1)
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await page.evaluate("document.compatMode") == "CSS1Compat"
    # Its style was applied, which the security policy has to allow.
    assert await page.evaluate("document.styleSheets.length") == 1
    assert visitor.complaints == []


async def test_one_signs_in_and_out_without_a_mouse(tenants: Tenants, visit: Visit) -> None:
    project, second = tenants.project(), tenants.project()
    user = project.member(GUEST)
    tenants.stack.gitlab.add_member(second.path, user, GUEST)
    for each in (project, second):
        experiment_in(each)
    visitor = await visit(tenants.stack, user)
    page = visitor.page

    await visitor.open("/auth/")
    await is_sound(visitor, "Please sign in")
    assert await reachable(page) == [("A", "Sign in with GitLab")]
    await page.keyboard.press("Enter")
    # Between them are GitLab's pages, which are not ours.
    await page.locator(f'button[value="{user}"]').press("Enter")
    await page.get_by_role("button", name="Authorize").press("Enter")
    await visitor.arrive("/auth/")
    await visitor.until_shown(page.get_by_role("link", name=second.path))
    await is_sound(visitor, "Your projects")
    listed = [("A", path) for path in sorted([project.path, second.path])]
    assert await reachable(page) == [
        ("BUTTON", "Sign out"),
        ("A", "All projects together"),
        *listed,
    ]

    await visitor.open("/auth/logout")
    await is_sound(visitor, "Sign out of MLflow?")
    assert await reachable(page) == [("BUTTON", "Sign out"), ("A", "Stay signed in")]
    await page.keyboard.press("Enter")
    await is_sound(visitor, "Your projects")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await is_sound(visitor, "You are signed out")
    assert await reachable(page) == [("A", "Sign in with GitLab"), ("A", "GitLab")]


async def test_refusals_are_sound_pages_with_a_way_on(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    page = visitor.page

    async def refused(path: str, status: int, title: str, way_on: str) -> None:
        assert (await visitor.open(path)).status == status
        await is_sound(visitor, title)
        assert await reachable(page) == [("A", way_on)]

    await refused(
        "/auth/authorize?state=none&code=none",
        400,
        "This request cannot be understood",
        "Sign in with GitLab",
    )
    await visitor.sign_in()
    await refused("/nobody/knows/tracking/", 404, "There is nothing here for you", "Your projects")


async def test_a_refused_login_is_a_sound_page(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.open("/auth/login")
    await visitor.pass_gitlab(decision="Deny")
    await visitor.arrive("/auth/authorize**")
    await is_sound(visitor, "You may not do this")
    assert await reachable(visitor.page) == [("A", "Try again")]


async def test_what_the_browser_finds_wrong_is_noticed(tenants: Tenants, visit: Visit) -> None:
    """So that no complaint above means that there was none."""
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.open("/auth/")
    async with visitor.page.expect_console_message():
        await visitor.page.evaluate("document.body.setAttribute('style', 'color: red')")
    (complaint,) = visitor.complaints
    assert "Content Security Policy" in complaint
