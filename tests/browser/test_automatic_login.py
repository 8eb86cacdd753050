"""LOGIN_AUTO_REDIRECT: whoever is known to GitLab is taken to MLflow without a question."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import experiment_in
from tests.browser.visitor import Visitor
from tests.gitlab import GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def tenants(automatic: Stack) -> Tenants:
    return Tenants(automatic)


async def known_to_gitlab(visitor: Visitor) -> None:
    """Sign in at GitLab itself, as people do for other reasons."""
    await visitor.page.goto(f"{visitor.stack.gitlab.url}/users/sign_in")
    await visitor.page.locator(f'button[value="{visitor.user}"]').click()
    await expect(visitor.page.get_by_text(f"You are signed in as {visitor.user}")).to_be_visible()


async def test_one_address_is_enough_and_its_fragment_stays(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    name = experiment_in(project)
    visitor = await visit(tenants.stack, project.member(GUEST))
    await known_to_gitlab(visitor)
    view = f"/{project.path}/tracking/#/experiments?searchFilter={name}"
    assert (await visitor.open(view)).status == 200
    assert visitor.page.url == visitor.url(view)
    await expect(visitor.page.get_by_role("link", name=name)).to_be_visible()


async def test_an_experiment_opens_at_its_address(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    name = experiment_in(project)
    caller = project.guest()
    number = caller.get("experiments/search", max_results=5)["experiments"][0]["experiment_id"]
    visitor = await visit(tenants.stack, project.member(GUEST))
    await known_to_gitlab(visitor)
    await visitor.open(f"/{project.path}/tracking/#/experiments/{number}")
    await expect(visitor.page.get_by_text(name).first).to_be_visible()
    assert f"/tracking/#/experiments/{number}" in visitor.page.url


async def test_who_is_unknown_to_gitlab_is_asked_there_at_once(
    tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(GUEST))
    await visitor.open(f"/{project.path}/tracking/")
    assert visitor.page.url.startswith(f"{tenants.stack.gitlab.url}/users/sign_in")
    # GitLab trusts the application, so it does not ask whether we may act for him.
    await visitor.page.locator(f'button[value="{visitor.user}"]').click()
    await visitor.arrive(f"/{project.path}/tracking/**")


async def test_signing_out_is_not_undone_by_the_next_page(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    page = visitor.page
    await known_to_gitlab(visitor)
    await visitor.open("/auth/logout")
    await page.get_by_role("link", name="Sign in with GitLab").click()
    await visitor.arrive("/auth/")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
