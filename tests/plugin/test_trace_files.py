"""The files of traces: where they are, which MLflow alone says, and whose they are.

The numbers are rows of the list of threats that the tests are made from.
"""

from contextlib import closing
from sqlite3 import connect

import pytest

from tests.plugin.world import API as V2
from tests.plugin.world import ARTIFACTS, World
from tests.plugin.world_traces import API as V3
from tests.plugin.world_traces import export, files_of, get, new_trace, span, spans, trace_info
from tests.servers.mlflow import MLflow

LOCATION = "mlflow.artifactLocation"
RESERVED = [LOCATION, "mlflow.trace.spansLocation", "mlflow.trace.archiveLocation"]


def tags_of(server: MLflow, world: World, trace_id: str) -> dict[str, str]:
    found = get(server, world.grant, f"{V3}/traces/{trace_id}").json["trace"]["trace_info"]
    tags: dict[str, str] = found["tags"]
    return tags


@pytest.mark.parametrize("key", RESERVED)
@pytest.mark.parametrize("value", ["file:///etc", "TRACKING_STORE", "ARCHIVE_REPO"])
def test_a_trace_does_not_say_where_its_files_are(
    server: MLflow, ours: World, key: str, value: str
) -> None:
    """89: stock MLflow then reads any file that the server can."""
    pairs, words = [{"key": key, "value": value}], {key: value}
    own, experiment = ours.traced.trace, ours.experiment
    began, ended = {"experiment_id": experiment, "timestamp_ms": 1}, {"timestamp_ms": 2}
    before = server.contents()

    for method, path, body in (
        ("POST", f"{V2}/traces", began | {"tags": pairs}),
        ("POST", f"{V2}/traces", began | {"request_metadata": pairs}),
        ("PATCH", f"{V2}/traces/{own}", ended | {"tags": pairs}),
        ("PATCH", f"{V2}/traces/{own}", ended | {"request_metadata": pairs}),
        ("POST", f"{V3}/traces", trace_info(experiment, tags=words)),
        ("POST", f"{V3}/traces", trace_info(experiment, trace_metadata=words)),
        ("POST", f"{V3}/traces", trace_info(experiment, own, tags=words)),
        ("POST", f"{V3}/traces", trace_info(experiment, own, trace_metadata=words)),
    ):
        for twin in (path, path.replace("/api", "/ajax-api")):
            answer = server.ask(method, twin, ours.grant, body)
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED"), path
    for version in (V2, V3):
        answer = server.ask("PATCH", f"{version}/traces/{own}/tags", ours.grant, pairs[0])
        # MLflow has a word of its own about two of them.
        assert answer.status == (403 if key == LOCATION else 400)
    assert server.contents() == before


def test_mlflow_itself_says_where_the_files_of_a_trace_are(server: MLflow, fresh: World) -> None:
    """Whatever comes first: the trace, its spans, or both of them again."""
    started, exported = new_trace(), new_trace()

    for trace_id in (started, exported, started, exported):
        if trace_id == started:
            info = trace_info(fresh.experiment, trace_id, tags={"colour": "red"})
            answer = server.ask("POST", f"{V3}/traces", fresh.grant, info)
            assert answer.status == 200, answer.body
        answer = export(server, fresh.grant, fresh.experiment, spans(span(trace_id)))
        assert answer.status == 200, answer.body
        info = trace_info(fresh.experiment, trace_id, tags={"colour": "blue"})
        assert server.ask("POST", f"{V3}/traces", fresh.grant, info).status == 200
        tags = tags_of(server, fresh, trace_id)
        assert tags["colour"] == "blue"
        assert tags["mlflow.trace.spansLocation"] == "TRACKING_STORE"
        files = files_of(fresh.number, fresh.experiment, trace_id)
        assert tags[LOCATION] == f"mlflow-artifacts:/{files}"


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_the_files_of_a_trace_are_its_own(
    server: MLflow, ours: World, theirs: World, version: str
) -> None:
    path = f"/ajax-api/{version}/mlflow/get-trace-artifact"
    own, other = ours.traced, theirs.traced

    file = get(server, ours.grant, path, request_id=own.trace, path=own.attachment)
    data = get(server, ours.grant, path, request_id=own.trace)
    assert file.body == f"secret-{ours.number}".encode()
    assert len(data.json["spans"]) == 2
    up = f"../../../../../p{theirs.number}"
    for query in (
        {"request_id": other.trace},
        {"request_id": other.trace, "path": other.attachment},
        {"request_id": own.trace, "path": other.attachment},
        {"request_id": own.trace, "path": f"../attachments/{own.attachment}"},
        {"request_id": own.trace, "path": f"{up}/{theirs.experiment}"},
        {"request_id": own.trace, "path": "/etc/passwd"},
        {"request_id": own.trace, "path": "..%2f..%2fx"},
    ):
        answer = get(server, ours.grant, path, **query)
        assert answer.status in (400, 404), (query, answer.body)
        assert f"secret-{theirs.number}".encode() not in answer.body
    head = server.ask("HEAD", f"{path}?request_id={own.trace}", ours.grant)
    assert head.status == 403


def test_an_older_client_keeps_the_spans_of_a_trace_in_a_file(server: MLflow, fresh: World) -> None:
    body = {"experiment_id": fresh.experiment, "timestamp_ms": 1}
    started = server.ask("POST", f"{V2}/traces", fresh.grant, body).json["trace_info"]
    trace_id = started["request_id"]
    root = files_of(fresh.number, fresh.experiment, trace_id)
    put = server.ask("PUT", f"{ARTIFACTS}/{root}/traces.json", fresh.grant, b'{"spans": []}')
    assert put.status == 200, put.body

    path = "/ajax-api/2.0/mlflow/get-trace-artifact"
    assert get(server, fresh.grant, path, request_id=trace_id).json == {"spans": []}
    listed = get(server, fresh.grant, ARTIFACTS, path=root).json["files"]
    assert [each["path"] for each in listed] == ["traces.json"]


def test_a_tag_from_before_the_plugin_leads_nowhere(
    server: MLflow, fresh: World, theirs: World
) -> None:
    """89: it may have been written through another plugin, or none."""
    trace_id = fresh.traced.trace
    theirs_file = (
        f"mlflow-artifacts:/{files_of(theirs.number, theirs.experiment, theirs.traced.trace)}"
    )
    path = "/ajax-api/3.0/mlflow/get-trace-artifact"
    for tags in (
        {LOCATION: theirs_file},
        {LOCATION: f"file://{server.folder}"},
        {"mlflow.trace.spansLocation": "ARCHIVE_REPO", RESERVED[2]: f"file://{server.folder}"},
    ):
        plant(server, trace_id, tags)
        asked = {"request_id": trace_id, "path": theirs.traced.attachment}
        attached = get(server, fresh.grant, path, **asked)
        assert attached.status == 404, attached.body
        assert get(server, fresh.grant, path, request_id=trace_id).json["spans"] is not None
    archive = server.folder / "traces.pb"
    archive.write_bytes(b"")
    body = {"experiment_id": fresh.experiment, "request_ids": [trace_id]}
    deleted = server.ask("POST", f"{V3}/traces/delete-traces", fresh.grant, body)
    assert deleted.json == {"traces_deleted": 1}
    assert archive.exists()


@pytest.mark.parametrize(
    "trace_id",
    [
        *("", ".", "..", "a/b", "a%2fb", "a\\b", "a b", "-a", "tr-\u00e9", "x" * 51, "tr-1\n"),
        "../../../p{number}/{experiment}/traces/{trace}",
    ],
)
def test_an_id_that_is_no_name_is_no_trace(
    server: MLflow, ours: World, theirs: World, trace_id: str
) -> None:
    """The id of a trace becomes part of a path: MLflow would read and list another project's."""
    trace_id = trace_id.format(
        number=theirs.number, experiment=theirs.experiment, trace=theirs.traced.trace
    )
    body = trace_info(ours.experiment, "tr-1")
    body["trace"]["trace_info"]["trace_id"] = trace_id  # type: ignore[index]
    before = server.contents()

    answer = server.ask("POST", f"{V3}/traces", ours.grant, body)

    assert answer.status == 400, answer.body
    assert server.contents() == before


def plant(server: MLflow, trace_id: str, tags: dict[str, str]) -> None:
    """Write tags past MLflow."""
    with closing(connect(server.folder / "mlflow.db", timeout=30)) as connection, connection:
        connection.executemany(
            "INSERT OR REPLACE INTO trace_tags (request_id, key, value) VALUES (?, ?, ?)",
            [(trace_id, key, value) for key, value in tags.items()],
        )
