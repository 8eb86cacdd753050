"""Artifact paths through the real MLflow: one reading, one project, nothing above a run."""

import pytest

from tests.plugin.world import API, ARTIFACTS, World
from tests.servers.mlflow import MLflow

TRICKS = (
    *(
        "",
        ".",
        "..",
        "./",
        "%2e",
        "%2e%2e",
        "%252e%252e",
        "workspaces",
        "workspaces/",
        "workspaces/.",
    ),
    *(
        "workspaces/{ours}",
        "workspaces/{theirs}",
        "workspaces/{ours}/..",
        "workspaces/{ours}/{exp}",
    ),
    *("{exp}", "{exp}/{run}", "{exp}/models", "0{exp}/{run}/artifacts/data.txt", "{exp}/{run}/x"),
    *("{exp}/{run}/artifacts/../../../../{their_files}/data.txt", "{their_files}/data.txt"),
    *("{exp}/{run}/artifacts/%2e%2e/data.txt", "{exp}/{run}/artifacts/%252e%252e%252fdata.txt"),
    *(
        "{exp}/{run}/artifacts//data.txt",
        "{exp}//{run}/artifacts/data.txt",
        "/{exp}/{run}/artifacts",
    ),
    *(
        "{exp}/{run}/artifacts/..%2f..%2fx",
        "{exp}/{run}/artifacts/a%5cb",
        "{exp}/{run}/artifacts/%00",
    ),
    *("{exp}/{run}/artifacts/%23", "{exp}/{run}/artifacts/a%0ab", "{exp}/{run}/artifacts/%2541"),
    *("file:%2f%2f%2fetc%2fpasswd", "%2fetc%2fpasswd", "C:%2fx", "{exp}/{run}/artifacts/"),
)


def _path(trick: str, ours: World, theirs: World) -> str:
    return trick.format(
        ours=f"p{ours.number}",
        theirs=f"p{theirs.number}",
        exp=ours.experiment,
        run=ours.run,
        their_files=theirs.files,
    )


@pytest.mark.parametrize("trick", TRICKS)
def test_a_path_with_a_second_reading_reaches_nothing(
    server: MLflow, ours: World, theirs: World, trick: str
) -> None:
    """Threats 87 and 88."""
    path = _path(trick, ours, theirs)
    before = server.contents()

    answers = [
        server.ask(method, f"{prefix}/2.0/mlflow-artifacts/artifacts/{path}", ours.grant, body)
        for prefix in ("/api", "/ajax-api")
        for method, body in (("GET", None), ("PUT", b"overwritten"), ("DELETE", None))
    ]
    answers.append(server.ask("GET", f"{ARTIFACTS}?path={path}", ours.grant))

    assert {answer.status for answer in answers} <= {400, 403, 404}
    assert not [a for a in answers if f"secret-{theirs.number}".encode() in a.body]
    assert server.contents() == before


@pytest.mark.parametrize(
    "path", ["../data.txt", "%2e%2e/data.txt", "a//b", "/etc/passwd", "a%255cb"]
)
def test_a_path_below_a_run_or_model_stays_there(server: MLflow, ours: World, path: str) -> None:
    """Threats 86 and 88."""
    before = server.contents()
    files = f"/ajax-api/2.0/mlflow/logged-models/{ours.model}/artifacts/files"
    folders = f"/api/2.0/mlflow/logged-models/{ours.model}/artifacts/directories"
    for method, address, body in (
        ("GET", f"/get-artifact?run_id={ours.run}&path={path}", None),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={ours.run}&path={path}", None),
        ("GET", f"/model-versions/get-artifact?name=churn&version=1&path={path}", None),
        ("GET", f"{files}?artifact_file_path={path}", None),
        ("GET", f"{folders}?artifact_directory_path={path}", None),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={ours.run}&path={path}", b"x"),
        ("GET", f"/get-artifact?run_id={ours.run}&path=data.txt&path={path}", None),
    ):
        assert server.ask(method, address, ours.grant, body).status == 400, address
    assert server.contents() == before


def test_a_run_is_not_written_over_as_if_it_were_a_file(server: MLflow, ours: World) -> None:
    """Threat 88."""
    before = server.contents()

    for root in (ours.files, f"{ours.experiment}/{ours.run}/artifacts"):
        assert server.ask("PUT", f"{ARTIFACTS}/{root}", ours.grant, b"x").status == 400
        assert server.ask("GET", f"{ARTIFACTS}/{root}", ours.grant).status == 400
    assert server.contents() == before


def test_names_are_as_long_as_a_file_system_takes_them(server: MLflow, fresh: World) -> None:
    for name, status in (("x" * 255, 200), ("x" * 256, 400), ("%C3%A9" * 128, 400)):
        path = f"{ARTIFACTS}/{fresh.files}/{name}"
        assert server.ask("PUT", path, fresh.grant, b"x").status == status
    assert server.ask("PUT", f"{path}/x", fresh.grant, b"x").status == 400


def test_what_mlflow_reads_from_a_query_is_asked_for_with_get(server: MLflow, ours: World) -> None:
    """It reads the query of a GET only: with HEAD it lists another path than was checked."""
    path = f"?path={ours.files}"
    for prefix in ("/api", "/ajax-api"):
        stored = f"{prefix}/2.0/mlflow-artifacts/artifacts"
        assert server.ask("HEAD", f"{stored}{path}", ours.grant).status == 403
        assert server.ask("GET", f"{stored}{path}", ours.grant).status == 200
    assert server.ask("HEAD", f"{API}/runs/get?run_id={ours.run}", ours.grant).status == 403
    file = f"/get-artifact?run_id={ours.run}&path=data.txt"
    assert server.ask("HEAD", file, ours.grant).status == 200


def test_files_are_written_read_listed_and_deleted_below_a_run(
    server: MLflow, fresh: World
) -> None:
    short = f"{fresh.experiment}/{fresh.run}/artifacts"
    for root in (short, fresh.files):
        for name, listed in (
            ("a b.txt", "a b.txt"),
            ("100%25.txt", "100%.txt"),
            ("é.txt", "é.txt"),
        ):
            address = f"{ARTIFACTS}/{root}/new/{name.replace(' ', '%20').replace('é', '%C3%A9')}"
            assert server.ask("PUT", address, fresh.grant, b"content").status == 200
            assert server.ask("GET", address, fresh.grant).body == b"content"
            names = server.ask("GET", f"{ARTIFACTS}?path={root}/new", fresh.grant).json["files"]
            assert [file["path"] for file in names] == [listed]
            assert server.ask("DELETE", address, fresh.grant).status == 200
            assert server.ask("GET", address, fresh.grant).status in (404, 500)
    assert server.ask("DELETE", f"{ARTIFACTS}/{short}", fresh.grant).status == 200
