"""What an operator watches: metrics, alerts and dashboard, before a real Prometheus."""

import json
import re
import subprocess
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from shutil import copy
from urllib.request import urlopen

import pytest
import yaml

from extauthz.edge.metrics import Metrics as EdgeMetrics
from extauthz.plugin.metrics import Metrics as PluginMetrics
from tests.gitlab import DEVELOPER, GitLab
from tests.polling import eventually
from tests.servers.mlflow import mlflow
from tests.servers.ports import free_port
from tests.servers.prometheus import Prometheus, prometheus
from tests.servers.stack import Stack, login_gateway
from tests.signing_in import signed_in
from tests.tenants import Tenants

FILES = Path(__file__).parents[2] / "charts/mlflow-extauthz/files"
ALERTS = FILES / "alerts.yaml"
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
PANELS = [
    panel
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]
    if panel["type"] != "row"
]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
NAME = re.compile(r"extauthz_\w+")


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {"plugin": free_port()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("monitored")
    env = {"METRICS_LISTEN": f"127.0.0.1:{ports['plugin']}"}
    with (
        GitLab.start() as gitlab,
        mlflow(folder, env=env) as server,
        login_gateway(folder, gitlab, server) as whole,
    ):
        ports["edge"] = whole.edge.admin_port
        yield whole


@pytest.fixture(scope="module")
def watching(
    stack: Stack, ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, jobs=ports, rules=ALERTS) as server:
        eventually(lambda: [value for _, value in server.query("up")], [1.0, 1.0])
        use(stack)
        yield server


def use(stack: Stack) -> None:
    """Do a little of everything: a login, reads and writes in both views, refusals."""
    project = Tenants(stack).project()
    user = project.member(DEVELOPER)
    ann = signed_in(stack, user, f"/{project.path}/tracking")
    assert ann.call("POST experiments/create", name="churn").status == 200
    everywhere = project.tenants.everywhere(project.tenants.token(user))
    for caller in (ann, project.guest(), everywhere):
        assert caller.call("GET experiments/search", max_results=1).status == 200
    assert project.caller("made-up").call("GET experiments/search").status == 401
    assert ann.call("GET runs/get", run_id=32 * "0").status == 404


def test_each_panel_of_the_dashboard_shows_something(watching: Prometheus) -> None:
    assert len(QUERIES) == len(set(QUERIES)) >= 15

    def empty() -> set[str]:
        return {query for query in QUERIES if not numbers(watching, query)}

    nothing: set[str] = set()
    eventually(empty, nothing)


def numbers(watching: Prometheus, query: str) -> list[float]:
    """Return what a panel draws; a quantile of nothing is not a number."""
    drawn = watching.query(query.replace("$__rate_interval", "30s"))
    return [value for _, value in drawn if not isnan(value)]


def test_what_happened_is_what_the_dashboard_shows(watching: Prometheus) -> None:
    def seen(query: str) -> dict[str, float]:
        return {next(iter(found.values()), ""): value for found, value in watching.query(query)}

    decided = "sum by (reason) (extauthz_checks_total)"
    eventually(lambda: seen(decided)["unauthenticated"], 1.0)
    assert seen("sum by (outcome) (extauthz_logins_total)")["completed"] == 1
    assert seen("sum by (event) (extauthz_session_events_total)")["begun"] == 1
    assert seen("sum by (server) (extauthz_breaker_open)") == {"gitlab": 0, "mlflow": 0}
    assert seen("sum by (cache) (extauthz_cache_entries)")["project"] >= 2
    eventually(lambda: seen("sum by (status) (extauthz_requests_total)")["4xx"], 1.0)
    assert seen('sum by (result) (extauthz_grants_total{result!~"accepted|none"})') == {
        **dict.fromkeys(("absent", "expired", "forged", "malformed", "repeated"), 0)
    }


def test_prometheus_evaluates_the_alerts_and_none_fires(watching: Prometheus) -> None:
    def health() -> set[str]:
        return {rule["health"] for rule in watching.rules()}

    eventually(health, {"ok"})
    assert len(watching.rules()) == len(RULES)
    assert "firing" not in {rule["state"] for rule in watching.rules()}


def test_promtool_has_nothing_to_say_about_our_metrics(
    watching: Prometheus, ports: dict[str, int]
) -> None:
    for port in ports.values():
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read()
        checked = promtool("check", "metrics", given=text)
        ours = [line for line in checked.stdout.splitlines() if line.startswith("extauthz_")]
        assert (ours, b"extauthz_" in text) == ([], True)


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    copy(ALERTS, tmp_path)
    copy(Path(__file__).parent / "test_alerts.yaml", tmp_path)
    assert "13 rules found" in promtool("check", "rules", str(ALERTS)).stdout
    tested = promtool("test", "rules", str(tmp_path / "test_alerts.yaml"))
    assert (tested.returncode, tested.stdout.count("SUCCESS")) == (0, 1), tested.stdout


def test_each_alert_is_tested_and_tells_what_to_do() -> None:
    tests = (Path(__file__).parent / "test_alerts.yaml").read_text()
    for rule in RULES:
        assert f'"{rule["alert"]}"' in tests
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert all(len(text) > 20 for text in rule["annotations"].values())


def test_alerts_and_panels_ask_for_metrics_and_labels_that_exist() -> None:
    counted = EdgeMetrics(provider="gitlab"), PluginMetrics()
    counted[0].cache_opened("project", lambda: 0)
    counted[0].server_added("gitlab", lambda: False)
    known: dict[str, set[str]] = {}
    for metrics in counted:
        for family in metrics.registry.collect():
            for sample in family.samples:
                known.setdefault(sample.name, set()).update(sample.labels)
    for query in [*QUERIES, *(rule["expr"] for rule in RULES)]:
        names = set(NAME.findall(query))
        assert names <= known.keys()
        wanted = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", query))
        for group in re.findall(r"by \(([^)]*)\)", query):
            wanted |= {label.strip() for label in group.split(",")}
        assert wanted <= set().union(*(known[name] for name in names)), query


def promtool(*arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["promtool", *arguments],
        input=given.decode(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
