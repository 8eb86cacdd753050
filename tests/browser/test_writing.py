"""Changing things in MLflow's own pages, in a session."""

import json

import pytest
from playwright.async_api import Locator, expect

from tests.browser.conftest import Visit
from tests.browser.experiments import CREATE, CREATE_RUN, experiment_in, experiments_in
from tests.browser.visitor import Visitor
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")
WHY = "your role in this GitLab project only reads: changing it needs Developer or above"


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


async def fill_in(visitor: Visitor, name: str) -> Locator:
    """Ask for a new experiment in MLflow's dialog; returns the dialog."""
    page = visitor.page
    await page.get_by_role("link", name="Experiments").first.click()
    await page.get_by_role("button", name="Create", exact=True).first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("textbox").first.fill(name)
    await dialog.get_by_role("button", name="Create", exact=True).click()
    return dialog


async def test_a_developer_makes_an_experiment(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    there, view = experiment_in(project), f"/{project.path}/tracking/"
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in(view)
    dialog = await fill_in(visitor, "made-here")
    await expect(dialog).to_have_count(0)
    await visitor.arrive(f"{view}#/experiments/*/**")
    await expect(visitor.page.get_by_text("made-here").first).to_be_visible()
    assert experiments_in(project) == {there, "made-here"}


async def test_a_guest_reads_why_he_cannot(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    there = experiment_in(project)
    visitor = await visit(tenants.stack, project.member(GUEST))
    await visitor.sign_in(f"/{project.path}/tracking/")
    dialog = await fill_in(visitor, "made-here")
    await expect(dialog.get_by_text(WHY)).to_be_visible()
    assert experiments_in(project) == {there}


async def test_scripts_of_the_page_change_what_the_role_allows(
    tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    experiment_in(project)
    view = f"/{project.path}/tracking/"
    developer = await visit(tenants.stack, project.member(DEVELOPER))
    await developer.sign_in(view)
    made = await developer.fetch(CREATE, "POST", json.dumps({"name": "by-script"}))
    assert made.status == 200, made.text
    wanted = json.dumps({"experiment_id": json.loads(made.text)["experiment_id"]})
    run = await developer.fetch(CREATE_RUN, "POST", wanted)
    assert run.status == 200, run.text

    guest = await visit(tenants.stack, project.member(GUEST))
    await guest.sign_in(view)
    for path in (CREATE, CREATE_RUN):
        refused = await guest.fetch(path, "POST", wanted)
        assert refused.status == 403, refused.text
        answer = json.loads(refused.text)
        assert answer["error_code"] == "PERMISSION_DENIED"
        assert WHY in answer["message"]


async def test_the_view_of_everything_says_where_to_write(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    name = experiment_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in("/auth/")
    await visitor.until_shown(visitor.page.get_by_role("link", name=project.path))
    await visitor.open("/")
    dialog = await fill_in(visitor, "made-here")
    await expect(dialog.get_by_text("use the address of one project")).to_be_visible()
    assert experiments_in(project) == {name}
