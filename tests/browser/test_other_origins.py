"""What pages of other origins cannot do with the session of whoever looks at them (CSRF)."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.experiments import (
    CREATE,
    SEARCH,
    UPLOAD,
    artifacts_of,
    experiment_in,
    experiments_in,
    run_in,
)
from tests.browser.foreign import ForeignPage, foreign_site
from tests.browser.visitor import Visitor
from tests.gitlab import DEVELOPER
from tests.gitlab_browser import Browser
from tests.servers.stack import Stack
from tests.tenants import Tenants

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # The site is at 127.0.0.1: a page of that host on another port is of the same site, so a
    # browser sends it our cookies; one of localhost is of another site.
    pytest.mark.parametrize("host", ["127.0.0.1", "localhost"]),
]
REFUSED = "A page may change things here only if it comes from"


@pytest.fixture
def tenants(root: Stack) -> Tenants:
    return Tenants(root)


@pytest_asyncio.fixture(loop_scope="session")
async def port() -> AsyncIterator[int]:
    async with foreign_site() as number:
        yield number


async def lured(visitor: Visitor, host: str, port: int) -> ForeignPage:
    """Have somebody open a page of another origin."""
    await visitor.page.goto(f"http://{host}:{port}/")
    return ForeignPage(visitor.page)


async def test_a_script_of_another_origin_changes_nothing(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    """Threat 62."""
    project = tenants.project()
    run, view = run_in(project), f"/{project.path}/tracking/"
    there = experiments_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in()
    foreign = await lured(visitor, host, port)
    upload, create = f"{UPLOAD}?run_uuid={run.id}&path=file", json.dumps({"name": "forged"})
    # They are sent, and the script does not learn what was answered.
    for path, body in ((upload, "forged"), (CREATE, create), ("graphql", "{}")):
        url = visitor.url(f"{view}{path}")
        assert await foreign.send(url, method="POST", mode="no-cors", body=body) == "opaque "
        assert not await foreign.send(url, method="POST", body=body)
    # This one is not even sent: the browser asks before it sends JSON, and is refused.
    json_type = {"content-type": "application/json"}
    url = visitor.url(f"{view}{CREATE}")
    assert not await foreign.send(url, method="POST", headers=json_type, body=create)
    assert (artifacts_of(project, run), experiments_in(project)) == ([], there)
    # The same from a page of ours is taken.
    await visitor.page.goto(visitor.url(view), wait_until="commit")
    taken = await visitor.fetch(upload, "POST", "honest", kind="text/plain")
    assert taken.status == 200, taken.text
    assert artifacts_of(project, run) == ["file"]


async def test_a_form_of_another_origin_changes_nothing(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    run = run_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in()
    foreign = await lured(visitor, host, port)
    path = f"/{project.path}/tracking/{UPLOAD}?run_uuid={run.id}&path=file"
    assert REFUSED in await foreign.submit(visitor.url(path), "forged")
    assert artifacts_of(project, run) == []


async def test_nobody_is_signed_out_by_another_origin(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    visitor = await visit(tenants.stack, tenants.user())
    await visitor.sign_in()
    url = visitor.url("/auth/logout")
    foreign = await lured(visitor, host, port)
    assert await foreign.send(url, method="POST", mode="no-cors") == "opaque "
    assert await foreign.send(url, mode="no-cors") == "opaque "
    assert REFUSED in await foreign.submit(url)
    # A link leads to the question.
    await lured(visitor, host, port)
    await visitor.page.evaluate("url => { location.href = url }", url)
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign out of MLflow?")
    await visitor.open("/auth/")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Your projects")


async def test_another_origin_reads_nothing(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    name, view = experiment_in(project), f"/{project.path}/tracking/"
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    await visitor.sign_in(view)
    # Twice, for an answer may be known by now.
    assert name in (await visitor.fetch(SEARCH)).text
    foreign = await lured(visitor, host, port)
    learnt = [
        await foreign.send(visitor.url(path), mode=mode)
        for path in (f"{view}{SEARCH}", view, "/auth/", f"/{SEARCH}")
        for mode in ("cors", "no-cors")
    ]
    assert set(learnt) <= {"", "opaque "}


async def test_no_page_is_shown_within_one_of_another_origin(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    project = tenants.project()
    experiment_in(project)
    visitor = await visit(tenants.stack, project.member(DEVELOPER))
    foreign = await lured(visitor, host, port)
    paths = ("/auth/", "/auth/logout", f"/{project.path}/tracking/")
    for path in paths:
        await foreign.is_refused_a_frame(visitor.url(path))
    await visitor.sign_in()
    foreign = await lured(visitor, host, port)
    for path in paths:
        await foreign.is_refused_a_frame(visitor.url(path))
    # The same way shows a page that lets itself be shown.
    frame = await foreign.frame(f"http://{host}:{port}/")
    await expect(frame.get_by_role("heading")).to_have_text("Elsewhere")


async def test_nobody_is_signed_in_as_somebody_else(
    host: str, port: int, tenants: Tenants, visit: Visit
) -> None:
    """Login CSRF (RFC 6749, 10.12): the answer that GitLab gave to an attacker's browser."""
    attacker = Browser(tenants.stack.gitlab.url)
    started = attacker.open(f"{tenants.stack.public_url}/auth/login").location
    callback = attacker.sign_in(started, tenants.user())
    victim = await visit(tenants.stack, tenants.user())
    await lured(victim, host, port)
    await victim.page.evaluate("url => { location.href = url }", callback)
    heading = victim.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("This request cannot be understood")
    assert await victim.cookies() == {}
