"""Artifacts larger than any buffer pass Envoy and the edge's header, up and down."""

from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from tests.caller import Caller
from tests.tenants import Tenants

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
SIZE = 50_000_000
MOST_MEMORY = 150_000_000


@pytest.fixture
def stored(tenants: Tenants) -> tuple[Caller, str]:
    """Return a developer, and the path of an artifact of his own run."""
    developer = tenants.project().developer()
    experiment = developer.post("experiments/create", name="streams")["experiment_id"]
    run = developer.post("runs/create", experiment_id=experiment)["run"]["info"]
    root = str(run["artifact_uri"]).removeprefix("mlflow-artifacts:/")
    return developer, f"{ARTIFACTS}{root}/weights.bin"


def test_fifty_megabytes_go_up_and_down(tenants: Tenants, stored: tuple[Caller, str]) -> None:
    """Threat 13: no body is part of a check, so no limit of one ends it."""
    developer, path = stored
    content = Random(0).randbytes(SIZE)
    assert developer.send("PUT", path, content).status == 200
    answer = developer.send("GET", path)
    assert (answer.status, sha256(answer.body).digest()) == (200, sha256(content).digest())
    assert most_memory_of(tenants.stack.envoy.pid) < MOST_MEMORY
    assert developer.send("DELETE", path).status == 200
    assert developer.send("GET", path).status == 404


def test_a_refused_upload_is_not_stored(tenants: Tenants, stored: tuple[Caller, str]) -> None:
    _, path = stored
    before = tenants.stack.mlflow.contents()
    stranger = tenants.project().developer()
    assert stranger.send("PUT", path, bytes(100_000)).status == 404
    assert tenants.stack.mlflow.contents() == before


def most_memory_of(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(peak) * 1024
