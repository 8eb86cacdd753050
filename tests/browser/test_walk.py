"""A walk through MLflow's pages: as one who writes, one who reads, and one who sees everything."""

from dataclasses import dataclass

import pytest
from playwright.async_api import Route

from tests.browser.conftest import Visit
from tests.browser.furnished import Furnished, furnish
from tests.browser.stops import evaluation, heading, stops, text
from tests.browser.walk import Stop, Walker
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants

pytestmark = pytest.mark.asyncio(loop_scope="session")

# What the pages ask for, are refused, and do without: the assistant, MLflow's own accounts, a queue
# of his own for whoever only reads, and in everything together what each project evaluates with.
REFUSED = {
    ("home", "GET assistant/config 403"),
    ("home", "GET assistant/providers 403"),
    *((page, "GET users/current 403") for page in ("home", "trace", "review")),
}
REFUSED_TO_READERS = {("review", "POST review-queues/get-or-create-user 403")}
REFUSED_EVERYWHERE = {(page, "POST datasets/search 403") for page in ("traces", "trace")}


@dataclass(frozen=True, slots=True)
class Places:
    """What two projects with the same members hold, and a third one of others."""

    project: Project
    second: Project
    holds: Furnished
    beside: Furnished
    foreign: Furnished

    def member(self, level: int) -> str:
        """Make a user with a level in the first two; returns his name."""
        user = self.project.member(level)
        self.project.tenants.stack.gitlab.add_member(self.second.path, user, level)
        return user


@pytest.fixture(scope="module")
def places(root: Stack) -> Places:
    tenants = Tenants(root)
    projects = [tenants.project() for _ in range(3)]
    holds, beside, foreign = (furnish(root.mlflow, project.id) for project in projects)
    return Places(projects[0], projects[1], holds, beside, foreign)


async def in_project(places: Places, visit: Visit, level: int) -> Walker:
    """Sign in somebody who must see nothing of the other two projects."""
    visitor = await visit(places.project.tenants.stack, places.member(level))
    await visitor.sign_in()
    foreign = *places.beside.marks, *places.foreign.marks
    walker = Walker(visitor, f"/{places.project.path}/tracking/", foreign)
    await walker.start()
    return walker


async def in_everything(places: Places, visit: Visit) -> Walker:
    """Sign in a developer of two projects, who must see nothing of the third."""
    visitor = await visit(places.project.tenants.stack, places.member(DEVELOPER))
    await visitor.sign_in()
    for project in (places.project, places.second):
        await visitor.until_shown(visitor.page.get_by_role("link", name=project.path))
    walker = Walker(visitor, "/", places.foreign.marks)
    await walker.start()
    return walker


@pytest.mark.parametrize(
    ("level", "refused"), [(DEVELOPER, REFUSED), (GUEST, REFUSED | REFUSED_TO_READERS)]
)
async def test_a_member_meets_no_error_in_his_project(
    places: Places, visit: Visit, level: int, refused: set[tuple[str, str]]
) -> None:
    walker = await in_project(places, visit, level)

    for stop in (*stops(places.holds), *evaluation(places.holds)):
        await walker.visit(stop)

    assert walker.wrong == []
    assert walker.refused - refused == set()


async def test_nobody_meets_an_error_in_everything_together(places: Places, visit: Visit) -> None:
    walker = await in_everything(places, visit)

    for stop in stops(places.holds):
        await walker.visit(stop)

    assert walker.wrong == []
    assert walker.refused - REFUSED - REFUSED_EVERYWHERE == set()


async def test_links_in_everything_together_lead_to_what_they_name(
    places: Places, visit: Visit
) -> None:
    walker = await in_everything(places, visit)
    at = {stop.name: stop for stop in stops(places.holds)}
    holds, own = places.holds.holds, places.holds.holds.own
    run = Stop("second run", "", (text(places.holds.second), text("depth")))

    await walker.visit(at["experiments"])
    await walker.follow(places.beside.holds.own, Stop("experiment", "", (heading("Overview"),)))
    await walker.visit(at["runs"])
    await walker.follow(f"second-{holds.number}", run)
    await walker.visit(at["models"])
    await walker.follow(own, at["model"])
    await walker.follow("Version 2", at["version"])
    await walker.follow("churn", at["logged model"])
    await walker.visit(at["prompts"])
    await walker.follow(holds.prompt, at["prompt"])

    assert walker.wrong == []


async def test_a_walker_notices_what_goes_wrong(places: Places, visit: Visit) -> None:
    """None of the above would mean anything otherwise."""
    walker = await in_project(places, visit, DEVELOPER)
    experiment = f"/experiments/{places.holds.holds.experiment}"
    for address, told, status in (
        ("/nowhere", "Page Not Found", None),
        ("/runs/nope", "Run with id=nope not found", "GET runs/get 404"),
        ("/models/nope", "Model nope does not exist", "GET registered-models/get 404"),
        ("/experiments/4711", "No Experiment with id=4711", None),
        (f"{experiment}/models/m-x", "'m-x' not found", "GET logged-models/m-x 404"),
        (f"{experiment}/datasets/d-x", "Couldn't load this dataset", "GET datasets/d-x 404"),
        ("/settings/webhooks", "is switched off here", "GET webhooks 403"),
    ):
        walker.wrong.clear()
        await walker.visit(Stop(address, address, (text(told),)))
        assert [said for page, said in walker.wrong if page == address and told in said], address
        assert status is None or (address, status) in walker.refused, walker.refused

    # It is gone before anybody looks for it.
    async def refuse(route: Route) -> None:
        await route.fulfill(status=403, json={"message": "no gateway"})

    await walker.visitor.page.route("**/gateway-proxy?*", refuse)
    walker.wrong.clear()
    (runs,) = (stop for stop in stops(places.holds) if stop.name == "runs")
    await walker.visit(runs)
    assert [said for page, said in walker.wrong if page == "runs" and "no gateway" in said]
    walker.foreign = [places.holds.holds.own]
    walker.wrong.clear()
    await walker.visit(runs)
    assert ("runs", places.holds.holds.own) in walker.wrong
