"""What the edge and MLflow are started with is what extauthz itself says."""

import re
import secrets
import sys
from typing import Final

import pytest
from pydantic import SecretStr

from extauthz.cli import _parser
from extauthz.edge.settings import Settings
from extauthz.plugin.command import command, environment
from extauthz.plugin.settings import Settings as PluginSettings
from tests.chart.chart import ROOT, TOPOLOGIES, Release, render, rendered, values_of

KEY: Final = secrets.token_hex(32)
SECRETS: Final = {
    "SESSION_STORE_URL": "redis://redis:6379/0",
    "GITLAB_OAUTH_CLIENT_ID": "client",
    "GITLAB_OAUTH_CLIENT_SECRET": "secret",
    "GITLAB_SERVICE_TOKEN": "token",
}
every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)
with_mlflow = pytest.mark.parametrize(
    "topology", [name for name in TOPOLOGIES if "external" not in name]
)


def opened(environment: dict[str, str]) -> dict[str, str]:
    """Put something in the place of each secret."""
    return {
        name: SECRETS.get(name, KEY) if value.startswith("<") else value
        for name, value in environment.items()
    }


def edge_settings(release: Release) -> Settings:
    return Settings.load(opened(release.environment("edge"))).check_for_serving()


@every_topology
def test_the_edge_takes_its_settings_and_arguments(topology: str) -> None:
    release = rendered(topology)
    settings = edge_settings(release)
    replicas = 2 if topology == "production" else 1
    assert settings.check_workers(replicas).provider_url.startswith("http")
    container = release.container("edge")
    options = _parser().parse_args(container["args"])
    assert container["command"] == ["extauthz"]
    assert (options.listen, options.pages_listen, options.admin_listen) == (
        "0.0.0.0:9000",
        "0.0.0.0:9001",
        "0.0.0.0:9002",
    )
    assert options.workers == 1


@with_mlflow
def test_mlflow_is_started_as_the_plugin_says(topology: str) -> None:
    release = rendered(topology)
    values = values_of(topology)
    host = edge_settings(release).mlflow_host
    workers = values.get("mlflow", {}).get("workers", 1)
    python, _, mlflow, *arguments = command(host="0.0.0.0", port=5001, workers=workers)
    assert (python, mlflow) == (sys.executable, "mlflow")
    # It listens everywhere in its pod, and is asked for by the name of its Service.
    arguments[arguments.index("--allowed-hosts") + 1] = host
    container = release.container("mlflow")
    assert container["command"] == ["mlflow"]
    assert container["args"] == arguments


@with_mlflow
def test_mlflow_has_the_environment_that_the_plugin_says(topology: str) -> None:
    release = rendered(topology)
    given = release.environment("mlflow")
    settings = edge_settings(release)
    wanted = environment(
        grant_key=SecretStr(given["GRANT_KEY"]),
        grant_key_previous=SecretStr(given["GRANT_KEY_PREVIOUS"]),
        instance=settings.instance,
        backend_store_uri=given["MLFLOW_BACKEND_STORE_URI"],
        artifacts_destination=given["MLFLOW_ARTIFACTS_DESTINATION"],
        public_url=settings.site.origin,
        framed_by=settings.framed_by,
    )
    added = given.keys() - wanted.keys()
    assert {name: given[name] for name in given.keys() - added} == {
        name: value for name, value in wanted.items() if value
    }
    assert {name for name in added if not name.startswith("AWS_")} <= {
        *("LOG_FORMAT", "LOG_LEVEL", "METRICS_LISTEN", "PROMETHEUS_MULTIPROC_DIR"),
        *("MLFLOW_UNCLASSIFIED", "MLFLOW_S3_ENDPOINT_URL", "PGPASSWORD"),
    }
    plugin = PluginSettings.load(opened(release.environment("mlflow")))
    assert (plugin.instance, plugin.framed_by) == (settings.instance, settings.framed_by)


@with_mlflow
def test_edge_and_mlflow_share_the_grant_key_and_nothing_else_secret(topology: str) -> None:
    """Whoever takes over MLflow must not be able to open sessions."""
    release = rendered(topology)
    edge, mlflow = release.environment("edge"), release.environment("mlflow")
    assert edge["GRANT_KEY"] == mlflow["GRANT_KEY"]
    assert not {name for name in mlflow if name.startswith(("SECRET_KEY", "GITLAB_", "SESSION_"))}
    assert "secret-key" not in str(release.pod("mlflow"))
    # A whole secret would bring keys that are not named here.
    for part in ("edge", "mlflow"):
        assert not any("secretRef" in each for each in release.container(part).get("envFrom", []))
        assert not any("secret" in each for each in release.pod(part)["volumes"])


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://hub.example.com", "https://hub.example.com"),
        ("https://Hub.example.com:443/base", "https://hub.example.com"),
        ("https://hub.example.com:8443/", "https://hub.example.com:8443"),
    ],
)
def test_sharinghub_may_frame_mlflow(url: str, origin: str) -> None:
    release = render({"sharinghubUrl": url, "publicUrl": "https://mlflow.example.com"})
    assert release.environment("mlflow")["FRAME_ANCESTORS"] == origin
    assert edge_settings(release).framed_by == (origin,)


@pytest.mark.parametrize(
    ("values", "instance"),
    [
        ({"gitlabUrl": "https://gitlab.example.com"}, "gitlab.example.com"),
        ({"gitlabUrl": "https://example.com:8443/gitlab/"}, "example.com:8443/gitlab"),
        ({"sharinghubUrl": "https://hub.example.com/"}, "hub.example.com"),
        ({"gitlabUrl": "https://gitlab.example.com", "instanceId": "main"}, "main"),
    ],
)
def test_the_instance_is_what_the_edge_would_call_it(values: dict[str, str], instance: str) -> None:
    release = render({**values, "publicUrl": "https://mlflow.example.com"})
    environ = opened(release.environment("edge"))
    assert environ["INSTANCE_ID"] == release.environment("mlflow")["INSTANCE_ID"] == instance
    if "instanceId" not in values:
        assert Settings.load({**environ, "INSTANCE_ID": ""}).instance == instance


@pytest.mark.parametrize(
    "url",
    [
        "https://mlflow.example.com",
        "https://MLflow.example.com:443/",
        "https://example.com:8443/mlflow/",
        "https://[2001:db8::1]:8443/a/b",
        "http://127.0.0.1:80/mlflow",
    ],
)
def test_the_public_url_is_taken_apart_as_the_edge_does(url: str) -> None:
    release = render({"gitlabUrl": "https://gitlab.example.com", "publicUrl": url})
    site = edge_settings(release).site
    origins = release.environment("mlflow")["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]
    assert origins == site.origin
    manager = release.envoy_config()["static_resources"]["listeners"][0]["filter_chains"][0]
    routes = manager["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    assert routes[0]["match"] == {"path": f"{site.prefix}/auth"}


def test_every_setting_can_be_reached() -> None:
    example = (ROOT / ".env.example").read_text()
    settings = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    names = {
        name
        for topology in TOPOLOGIES
        for deployment in rendered(topology).all("Deployment")
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for name in (each["name"] for each in container.get("env", []))
    }
    # An argument of MLflow's.
    assert settings - {"MLFLOW_WORKERS"} <= names
