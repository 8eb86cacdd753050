"""What is in the images, and what is not."""

import pytest

from tests.image.container import image, podman, run_once

TARGETS = ("edge", "mlflow", "all-in-one")
TOOLS = ("cc", "gcc", "g++", "make", "hatchling", "uv", "curl", "wget", "git")


@pytest.mark.parametrize("target", TARGETS)
def test_it_says_what_it_is(target: str) -> None:
    config = image(target)["Config"]
    assert config["User"] == "1000:1000"
    assert config["StopSignal"] == "SIGTERM"
    assert config["WorkingDir"] == "/home/mlflow"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "image-check"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_builds_is_left(target: str) -> None:
    found = run_once(target, "sh", "-c", f"command -v {' '.join(TOOLS)}; ls -A /root/.cache /build")
    assert found.stdout == ""
    pip = run_once(target, "python", "-c", "import pip")
    assert "No module named 'pip'" in pip.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_tells_how_the_packages_came(target: str) -> None:
    assert run_once(target, "cat", "/etc/pip.conf").returncode == 1
    history = podman("history", "--no-trunc", "--format={{.CreatedBy}}", f"extauthz:{target}")
    assert "mlflow" in history.stdout
    assert "find-links" not in history.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_its_user_can_change_nothing_in_it(target: str) -> None:
    found = run_once(target, "find", "/opt", "/usr", "/etc", "-writable", "-not", "-type", "l")
    assert found.stdout == ""
    assert "uid=1000(mlflow)" in run_once(target, "id").stdout


def test_each_half_has_only_its_own_packages() -> None:
    for target, package in (("edge", "mlflow"), ("mlflow", "grpc"), ("mlflow", "redis")):
        imported = run_once(target, "python", "-c", f"import {package}")
        assert f"No module named '{package}'" in imported.stderr, target
    for target in ("mlflow", "all-in-one"):
        clients = run_once(target, "python", "-c", "import boto3, psycopg; psycopg.pq.version()")
        assert clients.returncode == 0, clients.stderr
