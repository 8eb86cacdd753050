"""MLflow's own pages in a project's view: the page, what it loads, and what it asks at once."""

import re
from collections.abc import Iterator

import pytest

from tests.caller import Caller
from tests.plugin.world import World, build
from tests.polling import eventually
from tests.tenants import Project, Tenants

# As far as a page names them; relative, so that they stay below the project's prefix.
ASSET = re.compile(r'(?:src|href)="([^":]+\.(?:js|css|ico|png|svg|json))"')


@pytest.fixture
def project(tenants: Tenants) -> Project:
    return tenants.project()


def test_the_page_and_its_assets_are_served_below_the_project(project: Project) -> None:
    guest = project.guest()
    page = guest.send("GET", "/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assets = ASSET.findall(page.body.decode())
    assert len(assets) >= 2
    nobody = Caller(guest.port, guest.prefix, ())
    for asset in assets:
        target = f"/{asset.removeprefix('./')}"
        assert target.startswith("/static-files/"), asset
        for caller in (guest, nobody):
            assert caller.send("GET", target).status == 200, asset
    assert nobody.send("GET", "/").status == 401


def test_the_page_needs_its_slash(project: Project) -> None:
    answer = project.guest().send("GET", "")
    assert (answer.status, answer.headers["location"]) == (308, f"/{project.path}/tracking/")


def test_the_server_says_nothing_of_workspaces(project: Project, tenants: Tenants) -> None:
    """Threat 115."""
    guest = project.guest()
    for caller in (guest, guest.in_view_of(tenants.everywhere(""))):
        for root in ("/api", "/ajax-api"):
            info = caller.send("GET", f"{root}/3.0/mlflow/server-info")
            assert (info.status, info.json()["workspaces_enabled"]) == (200, False)


def requests(holds: World) -> Iterator[tuple[str, str, object]]:
    """Yield what the pages of an experiment, of a run and of a model ask (seen in 3.17)."""
    ajax = "/ajax-api/2.0/mlflow"
    experiment, run = holds.experiment, holds.run
    search = {"experiment_ids": [experiment], "max_results": 5}
    hidden = "filter=tags.%60mlflow.experiment.isGateway%60+IS+NULL"
    yield "GET", f"{ajax}/experiments/search?max_results=25&{hidden}", None
    yield "GET", f"{ajax}/experiments/get?experiment_id={experiment}", None
    yield "POST", f"{ajax}/runs/search", search
    yield "POST", f"{ajax}/logged-models/search", {"experiment_ids": [experiment]}
    yield "POST", f"{ajax}/experiments/search-datasets", {"experiment_ids": [experiment]}
    yield "GET", f"{ajax}/runs/get?run_id={run}", None
    yield "GET", f"{ajax}/artifacts/list?run_id={run}", None
    yield "GET", f"/get-artifact?run_uuid={run}&path=data.txt", None
    yield "GET", f"{ajax}/metrics/get-history-bulk?run_id={run}&metric_key=loss", None
    yield "GET", f"{ajax}/logged-models/{holds.model}", None
    yield "GET", f"{ajax}/registered-models/search?max_results=25", None
    yield "GET", f"{ajax}/model-versions/search?filter=name%3D%27churn%27", None
    traced = holds.traced
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    count = {"view_type": "TRACES", "metric_name": "trace_count"}
    sums = {"aggregations": [{"aggregation_type": "COUNT"}], "experiment_ids": [experiment]}
    file = f"request_id={traced.trace}&path={traced.attachment}"
    newer = "/ajax-api/3.0/mlflow"
    yield "POST", f"{newer}/traces/search", {"locations": [place], "max_results": 5}
    yield "POST", f"{newer}/traces/metrics", count | sums
    yield "POST", f"{newer}/traces/batchGetInfos", {"trace_ids": [traced.trace]}
    yield "GET", f"{newer}/traces/{traced.trace}", None
    yield "GET", f"{newer}/get-trace-artifact?request_id={traced.trace}", None
    yield "GET", f"{newer}/get-trace-artifact?{file}", None
    yield "POST", "/graphql", graphql(run)


def graphql(run: str) -> dict[str, object]:
    query = (
        "query GetRun($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) {"
        " apiError { code message } run { info { runUuid status } data { params { key value } } }"
        " } }"
    )
    return {"operationName": "GetRun", "query": query, "variables": {"data": {"runId": run}}}


def test_a_guests_pages_get_their_answers(project: Project) -> None:
    holds = build(project.tenants.stack.mlflow, project.id)
    guest = project.guest()
    for method, target, body in requests(holds):
        # The pages send an empty one on some calls.
        answer = guest.send(method, target, body, ("X-MLFLOW-WORKSPACE", ""))
        assert answer.status == 200, (target, answer.body)
    answer = guest.send("POST", "/graphql", graphql(holds.run))
    run = answer.json()["data"]["mlflowGetRun"]["run"]
    assert run["info"]["runUuid"] == holds.run


def test_what_the_pages_can_do_without_is_switched_off(project: Project) -> None:
    """Threats 111 to 116."""
    guest = project.developer()
    for method, target in (
        ("POST", "/ajax-api/2.0/mlflow/gateway-proxy"),
        ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
        ("GET", "/ajax-api/3.0/mlflow/assistant/providers"),
        ("GET", "/ajax-api/2.0/mlflow/users/current"),
        ("GET", "/api/3.0/mlflow/workspaces"),
        ("POST", "/api/3.0/mlflow/workspaces"),
        ("GET", "/ajax-api/3.0/jobs"),
        ("GET", "/ajax-api/2.0/mlflow/unified-traces"),
        ("GET", "/ajax-api/2.0/mlflow/get-online-trace-details"),
        ("POST", "/ajax-api/2.0/mlflow/runs/create-promptlab-run"),
        ("GET", "/ajax-api/2.0/mlflow/webhooks/list"),
    ):
        answer = guest.send(method, target, {} if method == "POST" else None)
        assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED"), target


def test_no_answer_lets_itself_be_shown_in_a_frame_of_another_site(project: Project) -> None:
    """Threat 122: neither MLflow's answers nor the refusals before it."""
    guest = project.guest()
    nobody = Caller(guest.port, guest.prefix, ())
    person = ("Accept", "text/html")
    for caller, target, status in (
        (guest, "/", 200),
        (guest, "/static-files/favicon.ico", 200),
        (guest, "/ajax-api/2.0/mlflow/experiments/search?max_results=9", 200),
        (guest, "/ajax-api/2.0/mlflow/runs/get?run_id=none", 404),
        (nobody, "/static-files/favicon.ico", 200),
        (nobody, "/", 401),
        (Caller(guest.port, "/no/such/tracking", guest.headers), "/", 404),
    ):
        answer = caller.send("GET", target, None, person)
        assert answer.status == status, target
        policy = answer.headers["content-security-policy"]
        (named,) = (part for part in policy.split("; ") if part.startswith("frame-ancestors"))
        assert named in ("frame-ancestors 'self'", "frame-ancestors 'none'"), target


def test_the_view_of_everything_has_a_page_too(tenants: Tenants, project: Project) -> None:
    project.developer().post("experiments/create", name="there")
    guest = project.guest()
    everywhere = guest.in_view_of(tenants.everywhere(""))
    assert everywhere.send("GET", "/").body == guest.send("GET", "/").body
    eventually(lambda: len(everywhere.get("experiments/search", max_results=5)), 1)
