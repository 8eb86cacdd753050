"""S3 servers: which of them keep the holder of a signed address to the part that was signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from structlog.testing import capture_logs

from extauthz.plugin.confinement import Confinement, is_confined
from tests.plugin.uploads import BUCKET, Upload, put
from tests.plugin.world import ARTIFACTS, build
from tests.servers.lax_s3 import lax_s3
from tests.servers.mlflow import mlflow
from tests.servers.ports import free_port
from tests.servers.s3 import S3, s3

SECRET, OWN = "workspaces/p2/secret.txt", "workspaces/p1/own.txt"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3(tmp_path_factory.mktemp("s3")) as running:
        running.create(BUCKET)
        running.client().put_object(Bucket=BUCKET, Key=SECRET, Body=b"secret of p2")
        yield running


@pytest.fixture
def lax(strict: S3) -> Iterator[S3]:
    with lax_s3(strict) as running:
        yield running


def store_on(
    server: S3, monkeypatch: pytest.MonkeyPatch, *, root: str = ""
) -> S3ArtifactRepository:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return S3ArtifactRepository(f"s3://{BUCKET}{root}")


def copied(server: S3, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return what the file of a project holds after another one's was copied to its address."""
    store = store_on(server, monkeypatch)
    folder, _, name = OWN.rpartition("/")
    upload = store.create_multipart_upload(name, 1, folder)
    put(upload.credentials[0].url, x_amz_copy_source=f"{BUCKET}/{SECRET}")
    client = server.client()
    target = {"Bucket": BUCKET, "Key": OWN, "UploadId": upload.upload_id}
    parts = [
        {"PartNumber": part["PartNumber"], "ETag": part["ETag"]}
        for part in client.list_parts(**target).get("Parts", ())
    ]
    if not parts:
        client.abort_multipart_upload(**target)
        return b""
    client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    content: bytes = client.get_object(Bucket=BUCKET, Key=OWN)["Body"].read()
    return content


@pytest.mark.parametrize("root", ["", "/a root/é"])
def test_a_server_that_keeps_to_what_was_signed_is_trusted(
    strict: S3, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    before = strict.contents(BUCKET)
    store = store_on(strict, monkeypatch, root=root)

    assert is_confined(store)
    assert Confinement().holds(store)
    assert copied(strict, monkeypatch) == b""
    assert strict.contents(BUCKET) == before
    assert "Uploads" not in strict.client().list_multipart_uploads(Bucket=BUCKET)


def test_a_server_that_obeys_an_unsigned_copy_is_not_trusted(
    strict: S3, lax: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GHSA-xm99-m3gq-83g8: through it, each project reads all others."""
    before = strict.contents(BUCKET)

    with capture_logs() as logs:
        assert not Confinement().holds(store_on(lax, monkeypatch))

    assert [line["event"] for line in logs] == ["multipart.unconfined"]
    assert strict.contents(BUCKET) == before
    assert "Uploads" not in strict.client().list_multipart_uploads(Bucket=BUCKET)
    assert copied(lax, monkeypatch) == b"secret of p2"


def test_a_server_that_cannot_be_tested_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_on(S3(free_port()), monkeypatch)
    # Botocore waits before it tries again.
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with capture_logs() as logs:
        assert not Confinement().holds(store)
    assert [line["event"] for line in logs] == ["multipart.untested"]


def test_an_account_that_may_not_write_is_not_trusted(
    strict: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_on(strict, monkeypatch)
    store = S3ArtifactRepository(f"s3://{BUCKET}", access_key_id="x", secret_access_key="x")
    assert not Confinement().holds(store)


def test_what_was_found_out_is_asked_again_in_time(
    strict: S3, lax: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    confinement = Confinement(clock=lambda: now[0])
    found = []
    for second, server in ((0, lax), (299, strict), (301, strict), (3900, lax), (3902, lax)):
        now[0] = second
        found.append(confinement.holds(store_on(server, monkeypatch)))

    assert found == [False, False, True, True, False]


def test_files_are_uploaded_in_one_piece_where_the_server_is_not_trusted(
    lax: S3, tmp_path: Path
) -> None:
    env = lax.environment | {"MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/lax"}
    with mlflow(tmp_path, env=env, measured=True) as server:
        world = build(server, 1)
        steps = [
            Upload(server, world, id="x").ask(
                step, num_parts=1, parts=[{"part_number": 1, "etag": "x"}]
            )
            for step in ("create", "complete", "abort")
        ]
        assert [step.status for step in steps] == [501, 501, 501]
        assert all(b"has not stood the test" in step.body for step in steps)
        assert server.ask("PUT", f"{ARTIFACTS}/{world.files}/x", world.grant, b"x").status == 200
