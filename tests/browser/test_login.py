"""Signing in with GitLab, what is to be seen then, and signing out, in a real browser."""

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import SEARCH, experiment_in
from tests.gitlab import GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants

NUMBER = re.compile(r"Request [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


async def test_a_login_leads_to_the_project_that_was_asked_for(
    tenants: Tenants, visit: Visit
) -> None:
    project, other = tenants.project(), tenants.project()
    name, foreign = experiment_in(project), experiment_in(other)
    visitor = await visit(tenants.stack, project.member(GUEST))
    page, view = visitor.page, f"/{project.path}/tracking/"

    assert (await visitor.open(view)).status == 401
    await expect(page.get_by_role("heading", level=1)).to_have_text("Please sign in")
    await page.get_by_role("link", name="Sign in with GitLab").click()
    assert page.url.startswith(tenants.stack.gitlab.url)
    await visitor.pass_gitlab()

    await visitor.arrive(f"{view}**")
    await page.get_by_role("link", name="Experiments").first.click()
    await visitor.arrive(f"{view}#/experiments**")
    await expect(page.get_by_role("link", name=name)).to_be_visible()
    await expect(page.get_by_text(foreign)).to_have_count(0)
    found = await visitor.fetch(SEARCH)
    assert [each["name"] for each in json.loads(found.text)["experiments"]] == [name]
    # What is not his is not there, even now that everybody knows him.
    assert (await visitor.open(f"/{other.path}/tracking/")).status == 404
    await expect(page.get_by_role("link", name="Your projects")).to_be_visible()
    assert await visitor.status_of(f"/{other.path}/tracking/{SEARCH}") == 404


async def test_the_cookie_is_for_the_server_alone(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.sign_in()
    cookies = await visitor.cookies()
    # Nothing of the handshake is left.
    assert set(cookies) == {"mlflow-session"}
    cookie = cookies["mlflow-session"]
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert "mlflow-session" not in await visitor.page.evaluate("document.cookie")


async def test_the_projects_with_data_are_listed_and_lead_to_their_views(
    tenants: Tenants, visit: Visit
) -> None:
    filled, empty, foreign = tenants.project(), tenants.project(), tenants.project()
    second = tenants.project()
    names = {project.path: experiment_in(project) for project in (filled, second, foreign)}
    user = filled.member(GUEST)
    for project in (empty, second):
        tenants.stack.gitlab.add_member(project.path, user, GUEST)
    visitor = await visit(tenants.stack, user)
    page = visitor.page
    await visitor.sign_in("/auth/")

    listed = page.get_by_role("list").get_by_role("link")
    await visitor.until_shown(page.get_by_role("link", name=second.path))
    assert await listed.all_text_contents() == sorted([filled.path, second.path])
    await expect(page.get_by_text(f"You are signed in as {user}")).to_be_visible()
    await page.get_by_role("link", name=filled.path).click()
    await visitor.arrive(f"/{filled.path}/tracking/**")
    await expect(page.get_by_role("link", name=names[filled.path])).to_be_visible()

    # All of them together, and nothing else.
    await visitor.open("/auth/")
    await page.get_by_role("link", name="All projects together").click()
    await visitor.arrive("/")
    await page.get_by_role("link", name="Experiments").first.click()
    for path in (filled.path, second.path):
        await expect(page.get_by_role("link", name=names[path])).to_be_visible()
    await expect(page.get_by_text(names[foreign.path])).to_have_count(0)


async def test_whoever_has_no_project_learns_how_to_begin(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.sign_in()
    page = visitor.page
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your projects")
    await expect(page.locator("pre")).to_have_text(visitor.url("/<group>/<project>/tracking"))
    await expect(page.get_by_role("list")).to_have_count(0)


async def test_a_project_can_be_reached_by_its_number(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(GUEST))
    await visitor.sign_in()
    await visitor.page.goto(visitor.url(f"/auth/p/{project.id}"), wait_until="commit")
    assert visitor.page.url.startswith(visitor.url(f"/{project.path}/tracking/"))


async def test_after_signing_out_nothing_is_answered(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    name, view = experiment_in(project), f"/{project.path}/tracking/"
    visitor = await visit(tenants.stack, project.member(GUEST))
    page = visitor.page
    await visitor.sign_in(view)
    await expect(page.get_by_role("link", name=name)).to_be_visible()
    await visitor.open("/auth/")
    await page.get_by_role("button", name="Sign out").click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    assert await visitor.cookies() == {}
    for path in ("/auth/", view, "/"):
        assert (await visitor.open(path)).status == 401
        await expect(page.get_by_role("link", name="Sign in with GitLab")).to_be_visible()
    assert await visitor.status_of(f"{view}{SEARCH}") == 401


async def test_going_back_after_signing_out_brings_nothing_new(
    tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    name, view = experiment_in(project), f"/{project.path}/tracking/"
    visitor = await visit(tenants.stack, project.member(GUEST))
    page = visitor.page
    await visitor.sign_in(view)
    await expect(page.get_by_role("link", name=name)).to_be_visible()
    await visitor.open("/auth/logout")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")

    while view not in page.url:
        await page.go_back(wait_until="commit")
        if "/auth/" in page.url:
            # Our own pages are not kept.
            await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    # MLflow's page would come back as it was left, and so asks for itself again.
    await expect(page.get_by_role("link", name="Sign in with GitLab")).to_be_visible()
    await expect(page.get_by_text(name)).to_have_count(0)


async def test_one_may_stay_signed_in(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.sign_in()
    await visitor.open("/auth/logout")
    await visitor.page.get_by_role("link", name="Stay signed in").click()
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Your projects")


async def test_who_refuses_consent_is_told_so_and_can_try_again(
    tenants: Tenants, visit: Visit
) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    page = visitor.page
    await visitor.open("/auth/")
    await page.get_by_role("link", name="Sign in with GitLab").click()
    await visitor.pass_gitlab(decision="Deny")
    await visitor.arrive("/auth/authorize**")
    await expect(page.get_by_role("heading", level=1)).to_have_text("You may not do this")
    assert await visitor.cookies() == {}
    await page.get_by_role("link", name="Try again").click()
    await page.get_by_role("button", name="Authorize").click()
    await visitor.arrive("/auth/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your projects")


async def test_two_tabs_can_sign_in_at_once(tenants: Tenants, visit: Visit) -> None:
    first, second = tenants.project(), tenants.project()
    user = first.member(GUEST)
    tenants.stack.gitlab.add_member(second.path, user, GUEST)
    visitor = await visit(tenants.stack, user)
    tab = await visitor.page.context.new_page()
    views = [visitor.url(f"/{project.path}/tracking/") for project in (first, second)]
    pages = (visitor.page, tab)
    for page, view in zip(pages, views, strict=True):
        await page.goto(view)
        await page.get_by_role("link", name="Sign in with GitLab").click()
    await visitor.pass_gitlab()
    await visitor.page.wait_for_url(f"{views[0]}**", wait_until="commit")
    # The other tab still asks who it is.
    await tab.locator(f'button[value="{user}"]').click()
    await tab.wait_for_url(f"{views[1]}**", wait_until="commit")


async def test_the_number_of_a_refusal_is_the_one_that_envoy_logs(
    tenants: Tenants, visit: Visit
) -> None:
    """Envoy numbers requests with UUIDs (x-request-id), and its log names them so."""
    visitor = await visit(tenants.stack, tenants.user())
    for path in ("/auth/authorize", "/auth/", "/"):
        await visitor.open(path)
        foot = await visitor.page.get_by_text("Status 4").inner_text()
        assert NUMBER.search(foot), (path, foot)
