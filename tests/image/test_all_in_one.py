"""The image `all-in-one`, run as the guide of mlflow-sharinghub says."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from extauthz.local.gitlab.world import CLIENT_ID, CLIENT_SECRET
from tests.caller import Caller
from tests.gitlab import GitLab
from tests.image.container import USER, Container, container, run_once
from tests.servers.processes import answers

PROJECT = "/acme/vision/detector/tracking"
COMMON = "PROJECT_CACHE_TIMEOUT=30\nLOGIN_AUTO_REDIRECT=false\n\n"
# As the guide shows them.
BLOCKS = {
    "gitlab": f"{COMMON}GITLAB_URL=https://gitlab.example.com\n"
    "GITLAB_OAUTH_CLIENT_ID=<client-id>\nGITLAB_OAUTH_CLIENT_SECRET=<client-secret>\n",
    "default-token": f"{COMMON}SHARINGHUB_URL=http://sharinghub.example.com\n"
    "SHARINGHUB_AUTH_DEFAULT_TOKEN=true\n",
    "sharinghub": f"{COMMON}SHARINGHUB_URL=http://sharinghub.example.com\n",
}


@dataclass(frozen=True, slots=True)
class Running:
    """The container in front of a demo GitLab, and its data."""

    container: Container
    data: Path


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with TemporaryDirectory(prefix="data-") as folder, GitLab.start(world="demo") as gitlab:
        os.chown(folder, USER, USER)
        settings = {
            "GITLAB_URL": gitlab.url,
            "GITLAB_OAUTH_CLIENT_ID": CLIENT_ID,
            "GITLAB_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "GITLAB_MANDATORY_TOPICS": "mlflow",
        }
        with container("all-in-one", env=settings, data=Path(folder)) as started:
            started.until_healthy()
            yield Running(started, Path(folder))


def caller(name: str) -> Caller:
    return Caller.with_token(5000, PROJECT, f"glpat-demo-{name}")


def test_a_member_writes_and_reads(running: Running) -> None:
    bob = caller("bob")
    experiment = bob.post("experiments/create", name="churn")["experiment_id"]
    run = bob.post("runs/create", experiment_id=experiment)["run"]["info"]
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    put = bob.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}/a.txt", b"content")
    assert put.status == 200, running.container.logs
    found = caller("gina").get("experiments/search", max_results=10)["experiments"]
    assert [item["name"] for item in found] == ["churn"]


def test_nobody_else_does(running: Running) -> None:
    search = f"{PROJECT}/api/2.0/mlflow/experiments/search?max_results=10"
    anybody = Caller(5000, "", ())
    assert anybody.send("GET", search).status == 401, running.container.logs
    assert caller("mallory").call("GET experiments/search", max_results=10).status == 404
    assert caller("gina").call("POST experiments/create", name="hers").status == 403


def test_people_are_led_to_gitlab(running: Running) -> None:
    login = Caller(5000, "", ()).send("GET", "/auth/login")
    assert login.status == 302, running.container.logs
    assert "/oauth/authorize?" in login.headers["location"]


def test_the_data_is_where_the_guide_says_and_its_owners_alone(running: Running) -> None:
    assert (running.data / "mlflow.db").stat().st_uid == USER
    (kept,) = (running.data / "mlartifacts").rglob("a.txt")
    assert kept.read_bytes() == b"content"
    assert stat.S_IMODE((running.data / "secret-key").stat().st_mode) == 0o600


def test_nothing_unsafe_is_silent(running: Running) -> None:
    assert "Envoy listens on 0.0.0.0 without TLS" in running.container.logs
    assert "Secret key               /home/mlflow/data/secret-key" in running.container.logs


def test_only_envoy_is_reachable_from_elsewhere(running: Running) -> None:
    assert answers(5000, "/health"), running.container.logs
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    everywhere = {line.split()[1] for line in listening if line.split()[3] == "0A"}
    assert {address for address in everywhere if address.startswith("00000000:")} == {
        f"00000000:{5000:04X}"
    }


def test_it_stops_when_it_is_told_to_and_keeps_the_key(running: Running) -> None:
    assert running.container.stop() == 0, running.container.logs
    assert running.container.logs.endswith("extauthz | stopped\n")
    assert (running.data / "secret-key").exists()


@pytest.mark.parametrize("user", [USER, 4242])
def test_any_user_may_run_it_with_data_of_his_own(data: Path, user: int) -> None:
    os.chown(data, user, user)
    flags = (f"--user={user}:{user}",)
    with container("all-in-one", env={"GITLAB_URL": "https://a.org"}, data=data, flags=flags) as it:
        it.until_healthy()
        assert (data / "mlflow.db").stat().st_uid == user


@pytest.mark.parametrize("block", BLOCKS)
def test_the_blocks_of_the_guide_start_as_they_stand(
    data: Path, tmp_path: Path, block: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(BLOCKS[block])
    with container("all-in-one", data=data, flags=(f"--env-file={file}",)) as started:
        started.until_healthy()
        assert Caller(5000, "", ()).send("GET", "/version").status == 200
        assert ("SHARINGHUB_URL is plain http" in started.logs) is ("http:" in BLOCKS[block])
        assert started.stop() == 0, started.logs


def test_a_folder_of_somebody_else_is_one_line(data: Path) -> None:
    settings = {"GITLAB_URL": "https://gitlab.example.com"}
    remedy = (
        f"and we are user {USER}: `chown -R {USER}` the data (on the host, if this is a "
        "container), or run as its owner (`docker run --user`)\n"
    )
    (data / "mlflow.db").touch(mode=0o600)
    refused = run_once("all-in-one", env=settings, data=data)
    line = f"extauthz: /home/mlflow/data/mlflow.db belongs to user 0, {remedy}"
    assert (refused.returncode, refused.stderr) == (2, line)
    # What Docker does with a volume that is not there.
    os.chown(data, 0, 0)
    refused = run_once("all-in-one", env=settings, data=data)
    line = f"extauthz: /home/mlflow/data belongs to user 0, {remedy}"
    assert (refused.returncode, refused.stderr) == (2, line)


def test_a_read_only_folder_is_one_line() -> None:
    refused = run_once("all-in-one", env={"GITLAB_URL": "https://gitlab.example.com"})
    line = (
        "extauthz: /home/mlflow/data is not writable: mount a volume there, or give --data "
        "another folder\n"
    )
    assert (refused.returncode, refused.stderr) == (2, line)
