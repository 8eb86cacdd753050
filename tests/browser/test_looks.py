"""Our pages in light and dark, on a large screen and on a small phone.

The pictures stay in the folder of the test, for people to look at.
"""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import experiment_in
from tests.browser.visitor import Visitor
from tests.gitlab import GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants, unique

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.parametrize("scheme", ["light", "dark"]),
]
# The narrowest on which nothing may have to be scrolled sideways (WCAG 2.2, 1.4.10).
SCREENS = {"large": (1280, 720), "phone": (320, 640)}
SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
COLOURS = {"light": "rgb(243, 245, 248)", "dark": "rgb(14, 18, 23)"}
LONG = "a-group-with-a-very-long-name/and-another-one-below-it-that-is-as-long/the-project-itself"


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


async def pictured(visitor: Visitor, folder: Path, scheme: str, name: str) -> None:
    """Take a picture on each screen; fails where something does not fit."""
    page = visitor.page
    for screen, (width, height) in SCREENS.items():
        await page.set_viewport_size({"width": width, "height": height})
        await page.screenshot(path=folder / f"{name}-{scheme}-{screen}.png", full_page=True)
        assert not await page.evaluate(SIDEWAYS), f"{name} is wider than a {screen}"
    assert await page.evaluate(BACKGROUND) == COLOURS[scheme]


async def test_every_page_fits_and_has_its_colours(
    scheme: str, tenants: Tenants, visit: Visit, tmp_path: Path
) -> None:
    gitlab = tenants.stack.gitlab
    visitor = await visit(tenants.stack, tenants.user(), color_scheme=scheme)
    page = visitor.page

    async def shown(name: str, heading: str) -> None:
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await pictured(visitor, tmp_path, scheme, name)

    await visitor.open("/auth/")
    await shown("sign-in", "Please sign in")
    await page.get_by_role("link", name="Sign in with GitLab").click()
    await visitor.pass_gitlab(decision="Deny")
    await visitor.arrive("/auth/authorize**")
    await shown("consent-refused", "You may not do this")
    await page.get_by_role("link", name="Try again").click()
    await page.get_by_role("button", name="Authorize").click()
    await visitor.arrive("/auth/")
    await shown("no-projects", "Your projects")
    for path in (*(f"{unique('acme')}/{name}" for name in ("churn", "vision")), unique(LONG)):
        experiment_in(tenants.project(path))
        gitlab.add_member(path, visitor.user, GUEST)
    await visitor.until_shown(page.get_by_role("listitem").nth(2))
    await shown("projects", "Your projects")
    await visitor.open("/nobody/knows/tracking/")
    await shown("not-found", "There is nothing here for you")
    await visitor.open("/auth/logout")
    await shown("sign-out", "Sign out of MLflow?")
    await page.get_by_role("button", name="Sign out").click()
    await shown("signed-out", "You are signed out")
