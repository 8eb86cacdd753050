"""A site below a path of its host, as `PUBLIC_URL=https://host/mlflow` makes it."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import experiment_in, log, model_in, run_in, upload
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def tenants(below: Stack) -> Tenants:
    return Tenants(below)


async def test_everything_from_login_to_logout_stays_below_the_path(
    tenants: Tenants, visit: Visit
) -> None:
    project, second = tenants.project(), tenants.project()
    names = {each.path: experiment_in(each) for each in (project, second)}
    user, view = project.member(GUEST), f"/{project.path}/tracking/"
    tenants.stack.gitlab.add_member(second.path, user, GUEST)
    visitor = await visit(tenants.stack, user)
    page = visitor.page

    await visitor.open(f"{view}#/experiments")
    await page.get_by_role("link", name="Sign in with GitLab").click()
    await visitor.pass_gitlab()
    await visitor.arrive(f"{view}**")
    assert {cookie["path"] for cookie in (await visitor.cookies()).values()} == {"/mlflow/"}
    await page.get_by_role("link", name="Experiments").first.click()
    await expect(page.get_by_role("link", name=names[project.path])).to_be_visible()
    await expect(page.get_by_text(names[second.path])).to_have_count(0)

    await visitor.open("/auth/")
    await visitor.until_shown(page.get_by_role("link", name=second.path))
    await page.get_by_role("link", name="All projects together").click()
    await visitor.arrive("/")
    await page.get_by_role("link", name="Experiments").first.click()
    await expect(page.get_by_role("link", name=names[second.path])).to_be_visible()
    await expect(page.get_by_role("link", name=names[project.path])).to_be_visible()

    await page.goto(visitor.url(f"/auth/p/{second.id}"), wait_until="commit")
    await visitor.arrive(f"/{second.path}/tracking/**")
    await expect(page.get_by_text(names[second.path])).to_be_visible()

    await visitor.open("/auth/")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    assert page.url == visitor.url("/auth/logout")
    assert await visitor.cookies() == {}
    assert (await visitor.open(view)).status == 401
    asked = visitor.asked_of_us()
    assert len(asked) > 50
    assert [path for path in asked if not path.startswith("/mlflow/")] == []


async def test_the_pages_of_mlflow_work(tenants: Tenants, visit: Visit) -> None:
    project = tenants.project()
    run, model = run_in(project), model_in(project)
    log(project, run, "depth", "17")
    upload(project, run, "data.txt", "what is in the file")
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    page, view = visitor.page, f"/{project.path}/tracking/"
    failed: list[str | None] = []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    await visitor.sign_in(view)
    address = visitor.url(f"{view}#/experiments/{run.experiment}/runs/{run.id}")
    await page.goto(f"{address}/artifacts")
    await page.get_by_text("data.txt").first.click()
    await expect(page.get_by_text("what is in the file")).to_be_visible()
    await page.goto(address)
    await expect(page.get_by_text("depth")).to_be_visible()
    await page.goto(visitor.url(f"{view}#/models"))
    await expect(page.get_by_role("link", name=model)).to_be_visible()
    # The page itself takes back what it no longer needs.
    assert set(failed) <= {"net::ERR_ABORTED"}
    assert [path for path in visitor.asked_of_us() if not path.startswith("/mlflow/")] == []


async def test_nothing_is_served_beside_the_path(tenants: Tenants, visit: Visit) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.sign_in()
    origin = tenants.stack.public_url.removesuffix("/mlflow")
    for path in ("/", "/auth/", "/auth/login", "/auth/logout", "/mlflowing/auth/"):
        answer = await visitor.page.goto(f"{origin}{path}")
        assert answer is not None
        assert answer.status == 404, path
    await visitor.page.goto(f"{origin}/mlflow", wait_until="commit")
    assert visitor.page.url == f"{origin}/mlflow/"
