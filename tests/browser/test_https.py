"""Sites with https: cookies that only https has, and a login through a front that ends TLS."""

import json

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import CREATE, experiment_in, experiments_in
from tests.browser.visitor import Visitor
from tests.gitlab import DEVELOPER
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def there_and_back(visitor: Visitor, tenants: Tenants) -> dict[str, object]:
    """Sign in on the way to a project, use it, sign out; returns the cookie of the session."""
    project, page = tenants.project(), visitor.page
    name, view = experiment_in(project), f"/{project.path}/tracking/"
    tenants.stack.gitlab.add_member(project.path, visitor.user, DEVELOPER)
    await visitor.sign_in(view)
    await visitor.arrive(f"{view}**")
    await expect(page.get_by_role("link", name=name)).to_be_visible()
    made = await visitor.fetch(CREATE, "POST", json.dumps({"name": "made-here"}))
    assert made.status == 200, made.text
    assert experiments_in(project) == {name, "made-here"}
    (cookie,) = (await visitor.cookies()).values()
    await visitor.open("/auth/")
    await visitor.until_shown(page.get_by_role("link", name=project.path))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    assert page.url == visitor.url("/auth/logout")
    assert await visitor.cookies() == {}
    assert (await visitor.open(view)).status == 401
    return cookie


async def test_below_a_path_of_a_shared_host(shared_host: Stack, visit: Visit) -> None:
    tenants = Tenants(shared_host)
    visitor = await visit(shared_host, tenants.user())
    cookie = await there_and_back(visitor, tenants)
    assert (cookie["name"], cookie["path"]) == ("mlflow-session", "/mlflow/")
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert cookie["domain"] == "sharinghub.example.org"
    asked = visitor.asked_of_us()
    assert len(asked) > 20
    assert [path for path in asked if not path.startswith("/mlflow/")] == []


async def test_at_the_root_of_its_own_host(own_host: Stack, visit: Visit) -> None:
    tenants = Tenants(own_host)
    visitor = await visit(own_host, tenants.user())
    cookie = await there_and_back(visitor, tenants)
    assert (cookie["name"], cookie["path"]) == ("__Host-mlflow-session", "/")
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert cookie["domain"] == "mlflow.example.org"
