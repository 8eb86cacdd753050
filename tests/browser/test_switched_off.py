"""What MLflow's page offers and the server refuses is not offered here."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import run_in
from tests.browser.visitor import Visitor
from tests.gitlab import DEVELOPER
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")
SCRIPT = "**/static-files/extauthz.js"
# On MLflow's first page, and in its settings.
OFFERED = {
    "/": ("Start Demo", "Information about UI telemetry", "MCP registry"),
    "/settings/general": ("LLM Connections", "Webhooks", "Enable telemetry", "Clear all demo data"),
}
READY = {"/": "Getting Started", "/settings/general": "Theme preference"}


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


async def test_nothing_is_offered_that_would_be_refused(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page, view = visitor.page, f"/{project.path}/tracking/"
    await visitor.sign_in(view)

    for address, offers in OFFERED.items():
        await page.goto(visitor.url(f"{view}#{address}"))
        await expect(page.get_by_text(READY[address], exact=True)).to_be_visible()
        for offer in offers:
            await expect(page.get_by_text(offer).filter(visible=True)).to_have_count(0)
    assert [url for url in visitor.asked if "telemetry" in url.lower()] == []

    # Without the script there it all is, so that it would have been noticed.
    await page.evaluate("localStorage.clear()")
    await page.route(SCRIPT, lambda route: route.abort())
    await page.reload()
    for address, offers in reversed(OFFERED.items()):
        await page.goto(visitor.url(f"{view}#{address}"))
        for offer in offers:
            await expect(page.get_by_text(offer).filter(visible=True).first).to_be_visible()


async def test_the_assistant_does_not_open_by_itself(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page, view = visitor.page, f"/{project.path}/tracking/"
    greeting = page.get_by_text("Welcome to MLflow Assistant")
    # MLflow has this button wherever the assistant is shut.
    button = page.locator("button[data-assistant-ui]")
    await visitor.sign_in(view)

    await expect(button).to_be_attached()
    await expect(button).to_be_hidden()
    await expect(greeting).to_have_count(0)
    # Somebody may have used another MLflow on this host.
    await page.evaluate("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'true')")
    await page.reload()
    await expect(button).to_be_attached()
    await expect(greeting).to_have_count(0)

    await page.evaluate("localStorage.clear()")
    await page.route(SCRIPT, lambda route: route.abort())
    await page.reload()
    await expect(greeting).to_be_visible()


async def side_links(visitor: Visitor, address: str) -> set[str]:
    """Return what can be gone to beside an experiment."""
    await visitor.page.goto(visitor.url(address))
    await expect(visitor.page.get_by_role("link", name="Evaluation runs")).to_be_visible()
    return set(await visitor.page.get_by_role("link").all_inner_texts())


async def test_what_only_a_project_has_is_offered_there_alone(
    tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    experiment = f"#/experiments/{run_in(project).experiment}/overview/usage"
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page = visitor.page
    await visitor.sign_in()
    await visitor.until_shown(page.get_by_role("link", name=project.path))

    ours = {"Datasets", "Review"}
    assert await side_links(visitor, f"/{project.path}/tracking/{experiment}") >= ours
    await visitor.open("/")
    await expect(page.get_by_text("All projects", exact=True)).to_be_visible()
    assert await side_links(visitor, f"/{experiment}") & ours == set()
    # Whoever goes there by an address reads where it is.
    await page.goto(visitor.url(f"/{experiment.replace('overview/usage', 'datasets')}"))
    await expect(page.get_by_text("open it in its project")).to_be_visible()
