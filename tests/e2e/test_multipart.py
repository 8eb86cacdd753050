"""Large files in parts, with MLflow's unmodified client, through Envoy and past it to S3."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.plugin.uploads import BUCKET, Stores, put, stores
from tests.polling import eventually
from tests.servers.stack import Stack, gateway
from tests.tenants import Project, Tenants

MIB = 1024 * 1024
SIZE = 11 * MIB
IN_PARTS = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1",
    # The least that S3 takes.
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 * MIB),
}
MPU = "/api/2.0/mlflow-artifacts/mpu"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture(scope="module")
def on_s3(stored: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with (
        GitLab.start() as gitlab,
        gateway(tmp_path_factory.mktemp("stack"), gitlab, stored.mlflow) as running,
    ):
        yield running


@pytest.fixture
def project(on_s3: Stack) -> Project:
    return Tenants(on_s3).project()


def uploaded(project: Project, folder: Path, **environment: str) -> dict[str, str]:
    """Have a developer's client upload a file; returns where it is."""
    token = project.tenants.token(project.member(DEVELOPER))
    uri = project.caller(token).uri
    given = {"MLFLOW_TRACKING_TOKEN": token} | environment
    printed = run_client("upload", str(SIZE), uri=uri, folder=folder, **given)
    assert printed["same"]
    assert len(printed["listed"]) == 1
    return printed


def test_a_client_uploads_in_parts(project: Project, stored: Stores, tmp_path: Path) -> None:
    done = uploaded(project, tmp_path, **IN_PARTS)

    key = f"{done['experiment']}/{done['run']}/artifacts/100% done/é/weights.bin"
    tag = stored.s3.contents(BUCKET)[f"workspaces/p{project.id}/{key}"]
    assert tag.endswith('-3"')
    assert stored.begun() == set()


def test_a_client_that_was_not_told_to_uploads_in_one_piece(
    project: Project, stored: Stores, tmp_path: Path
) -> None:
    """Its machine may not reach the S3 server."""
    told = {name: value for name, value in IN_PARTS.items() if "ENABLE" not in name}
    done = uploaded(project, tmp_path, **told)

    keys = stored.s3.contents(BUCKET)
    assert not any(tag.endswith('-3"') for key, tag in keys.items() if done["run"] in key)


def test_where_files_are_in_a_folder_a_client_goes_on_in_one_piece(
    tenants: Tenants, tmp_path: Path
) -> None:
    uploaded(tenants.project(), tmp_path, **IN_PARTS)


def test_whoever_becomes_a_guest_meanwhile_completes_nothing(
    project: Project, stored: Stores
) -> None:
    user = project.member(DEVELOPER)
    caller = project.caller(project.tenants.token(user))
    folder = _run(caller)
    begun = caller.send("POST", f"{MPU}/create/{folder}", {"path": "x.bin", "num_parts": 1}).json()
    sent = put(begun["credentials"][0]["url"], b"late")
    parts = [{"part_number": 1, "etag": sent.headers["ETag"]}]
    body = {"path": "x.bin", "upload_id": begun["upload_id"], "parts": parts}
    stranger = Tenants(project.tenants.stack).project().developer()

    assert stranger.send("POST", f"{MPU}/complete/{folder}", body).status == 404
    assert stranger.send("POST", f"{MPU}/abort/{folder}", body).status == 404
    project.tenants.stack.gitlab.add_member(project.path, user, GUEST)
    # A step that changes nothing tells when the edge has learnt of it.
    eventually(lambda: caller.send("POST", f"{MPU}/abort/{folder}", {"path": "x"}).status, 403)

    assert caller.send("POST", f"{MPU}/complete/{folder}", body).status == 403
    assert not [key for key in stored.s3.contents(BUCKET) if key.endswith("x.bin")]
    everywhere = caller.in_view_of(project.tenants.everywhere(""))
    assert everywhere.send("POST", f"{MPU}/create/{folder}", body).status == 403
    successor = project.developer()
    assert successor.send("POST", f"{MPU}/complete/{folder}", body).status == 200


def _run(caller: Caller) -> str:
    """Make a run; returns the folder of its files."""
    experiment = caller.post("experiments/create", name="late")["experiment_id"]
    run = caller.post("runs/create", experiment_id=experiment)["run"]["info"]
    uri: str = run["artifact_uri"]
    return uri.removeprefix("mlflow-artifacts:/")
