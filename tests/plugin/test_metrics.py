"""The metrics of the real MLflow: grants and answers, on an address that only Prometheus knows."""

from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from extauthz.plugin.metrics import Metrics
from extauthz.plugin.settings import Settings, SettingsError
from tests.polling import eventually
from tests.servers.mlflow import GRANT_KEY, INSTANCE, MLflow, everything, mlflow, project
from tests.servers.ports import free_port

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def samples(port: int) -> dict[str, float]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    return {
        " ".join((sample.name, *sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def use(server: MLflow) -> None:
    """Send some requests, half of which are refused."""
    for _ in range(3):
        assert server.ask("GET", SEARCH, project(101)).status == 200
    assert server.ask("GET", SEARCH, everything(101)).status == 200
    missing = f"/api/2.0/mlflow/runs/get?run_id={32 * '0'}"
    assert server.ask("GET", missing, project(101)).status == 404
    assert server.ask("GET", SEARCH).status == 403
    assert server.ask("GET", SEARCH, "Bearer x").status == 403


COUNTED: dict[str, float] = {
    "extauthz_grants_total absent": 1,
    "extauthz_grants_total forged": 1,
    "extauthz_requests_total 2xx project": 3,
    "extauthz_requests_total 4xx project": 1,
    "extauthz_requests_total 2xx global": 1,
}


def counted(port: int) -> dict[str, float]:
    seen = samples(port)
    return {name: seen[name] for name in COUNTED}


def test_they_are_served_where_envoy_leads_nobody(tmp_path: Path) -> None:
    port = free_port()
    with mlflow(tmp_path, env={"METRICS_LISTEN": f"127.0.0.1:{port}"}, measured=True) as server:
        use(server)
        assert counted(port) == COUNTED
        for path in ("/metrics", "/extauthz/v1/metrics"):
            assert server.ask("GET", path, project(101)).status == 403
            assert server.ask("GET", path).status == 403


def test_several_workers_are_added_up(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "metrics"
    folder.mkdir()
    env = {"METRICS_LISTEN": f"127.0.0.1:{port}", "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with mlflow(tmp_path, env=env, workers=2, measured=True) as server:
        use(server)
        eventually(lambda: counted(port), COUNTED)


def test_several_workers_without_a_folder_do_not_start(tmp_path: Path) -> None:
    env = {"METRICS_LISTEN": f"127.0.0.1:{free_port()}"}
    with pytest.raises(AssertionError), mlflow(tmp_path, env=env, workers=2):
        pass
    assert "PROMETHEUS_MULTIPROC_DIR" in (tmp_path / "mlflow.log").read_text()


def test_a_port_that_is_taken_is_said_at_start(server: MLflow) -> None:
    with pytest.raises(SettingsError, match="METRICS_LISTEN cannot be listened on: Address alread"):
        Metrics().serve(("127.0.0.1", server.port))


@pytest.mark.parametrize("text", ["5002", ":5002", "0.0.0.0:", "a:b", "a:0", "a:65536", "none"])
def test_what_is_no_address_is_refused(text: str) -> None:
    environ = {
        "GRANT_KEY": GRANT_KEY.get_secret_value(),
        "INSTANCE_ID": INSTANCE,
        "METRICS_LISTEN": text,
    }
    with pytest.raises(SettingsError, match="METRICS_LISTEN is host:port"):
        Settings.load(environ)
