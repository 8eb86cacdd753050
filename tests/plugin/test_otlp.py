"""Spans as OpenTelemetry's exporters send them, to MLflow's native endpoint.

CVE-2026-2652: it was open past all permissions. Row 104 of the threats.
"""

import gzip
import json
import zlib

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from extauthz.grant import Why
from extauthz.levels import Role
from tests.plugin.world import World
from tests.plugin.world_traces import (
    API,
    CHILD_SPAN,
    OTLP,
    export,
    get,
    new_trace,
    span,
    spans,
)
from tests.servers.mlflow import PUBLIC, MLflow, everything, project

MIB = 1024 * 1024


def protobuf(trace_id: str, count: int = 1) -> bytes:
    """Return spans of a trace."""
    asked = ExportTraceServiceRequest()
    written = asked.resource_spans.add().scope_spans.add().spans
    for number in range(1, count + 1):
        written.add(
            trace_id=bytes.fromhex(trace_id.removeprefix("tr-")),
            span_id=number.to_bytes(8, "big"),
            name="step",
            start_time_unix_nano=1,
            end_time_unix_nano=2,
        )
    return asked.SerializeToString()


def names(server: MLflow, world: World, trace_id: str) -> list[str]:
    """Return the names of the spans of a trace."""
    answer = get(server, world.grant, f"{API}/traces/get", trace_id=trace_id)
    assert answer.status == 200, answer.body
    return [each["name"] for each in answer.json["trace"]["spans"]]


def raw_deflate(body: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(body) + packing.flush()


@pytest.mark.parametrize("kind", ["protobuf", "json"])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("", bytes),
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
    ],
    ids=["plain", "gzip", "upper", "deflate", "raw"],
)
def test_spans_are_written(
    server: MLflow, fresh: World, kind: str, encoding: str, packed: type[bytes]
) -> None:
    trace_id = new_trace()
    body = protobuf(trace_id) if kind == "protobuf" else json.dumps(spans(span(trace_id))).encode()
    headers = [
        ("x-mlflow-experiment-id", fresh.experiment),
        ("Content-Type", f"application/{'x-protobuf' if kind == 'protobuf' else 'json'}"),
        *([("Content-Encoding", encoding)] if encoding else []),
    ]

    answer = server.ask("POST", OTLP, fresh.grant, packed(body), headers)

    assert (answer.status, answer.body) == (200, b"")
    assert names(server, fresh, trace_id) == ["step"]


def test_the_experiment_is_one_of_the_project(server: MLflow, ours: World, theirs: World) -> None:
    """103: also where the trace is there already, for which MLflow asks nothing."""
    before = server.contents()
    for trace_id in (new_trace(), ours.traced.trace, theirs.traced.trace):
        for body in (protobuf(trace_id), spans(span(trace_id, CHILD_SPAN))):
            for experiment in (theirs.experiment, "999999"):
                assert export(server, ours.grant, experiment, body).status == 404
            assert export(server, ours.grant, "x", body).status == 400
            workspace = ("X-MLFLOW-WORKSPACE", f"p{theirs.number}")
            answer = export(server, ours.grant, theirs.experiment, body, workspace)
            assert answer.status == 404
    assert server.ask("POST", OTLP, ours.grant, spans()).status == 422
    assert server.contents() == before


def test_a_trace_of_another_project_gets_no_spans(
    server: MLflow, ours: World, theirs: World
) -> None:
    """101: nor does the rest of such a request, for OpenTelemetry knows no half of one."""
    taken, own, new = theirs.traced.trace, ours.traced.trace, new_trace()
    before = server.contents()
    for each in ([taken], [own, taken], [taken, new], [new, taken, own]):
        body = spans(*(span(trace_id, CHILD_SPAN, mine="yes") for trace_id in each))
        answer = export(server, ours.grant, ours.experiment, body)
        assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert server.contents() == before


def test_only_developers_of_a_project_export(server: MLflow, ours: World) -> None:
    before = server.contents()
    for grant in (
        project(ours.number, Role.READ, Why.GUEST),
        project(ours.number, Role.READ, Why.ARCHIVED),
        everything(ours.number),
        PUBLIC,
        None,
    ):
        for body in (protobuf(new_trace()), spans(span(ours.traced.trace)), b"\xff"):
            answer = export(server, grant, ours.experiment, body)
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
    stale = project(ours.number, Role.READ, Why.STALE)
    assert export(server, stale, ours.experiment, protobuf(new_trace())).status == 503
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert server.ask(method, OTLP, ours.grant).status == 403
    headers = [("x-mlflow-experiment-id", ours.experiment)]
    for path in ("//v1/traces", "/v1/traces/", "/api/v1/traces", "/v1/metrics"):
        assert server.ask("POST", path, ours.grant, protobuf(new_trace()), headers).status == 403
    guest = project(ours.number, Role.READ, Why.GUEST)
    assert server.ask("POST", "/v1%2ftraces", guest, protobuf(new_trace()), headers).status == 403
    assert server.contents() == before


@pytest.mark.parametrize(
    "key", ["mlflow.artifactLocation", "mlflow.trace.spansLocation", "mlflow.trace.archiveLocation"]
)
def test_spans_do_not_say_where_a_trace_is(server: MLflow, ours: World, key: str) -> None:
    """89: MLflow makes tags of a root span's attributes `mlflow.traceTag.…`."""
    before = server.contents()
    for trace_id in (new_trace(), ours.traced.trace):
        for value in ("file:///etc", "ARCHIVE_REPO"):
            tagged = span(trace_id, **{f"mlflow.traceTag.{key}": value})
            answer = export(server, ours.grant, ours.experiment, spans(span(new_trace()), tagged))
            assert (answer.status, answer.json["error_code"]) == (403, "PERMISSION_DENIED")
    assert server.contents() == before


def test_what_sends_spans_says_no_more(server: MLflow, fresh: World) -> None:
    trace_id = new_trace()
    keys = ("mlflow.artifactLocation", "mlflow.trace.spansLocation", "colour")
    body = spans(span(trace_id), **dict.fromkeys(keys, "file:///etc"))

    assert export(server, fresh.grant, fresh.experiment, body).status == 200

    info = get(server, fresh.grant, f"{API}/traces/{trace_id}").json["trace"]["trace_info"]
    assert info["tags"]["colour"] == "file:///etc"
    assert info["tags"]["mlflow.artifactLocation"].endswith(f"{trace_id}/artifacts")
    assert info["tags"]["mlflow.trace.spansLocation"] == "TRACKING_STORE"


def test_spans_are_linked_to_a_run_of_the_project(
    server: MLflow, fresh: World, theirs: World
) -> None:
    for run, found in ((fresh.run, 1), (theirs.run, 0)):
        trace_id = new_trace()
        header = ("x-mlflow-run-id", run)
        answer = export(server, fresh.grant, fresh.experiment, protobuf(trace_id), header)
        assert answer.status == 200
        text = f"metadata.mlflow.sourceRun = '{run}'"
        place = {"type": "MLFLOW_EXPERIMENT"}
        for world, count in ((fresh, found), (theirs, 0)):
            place |= {"mlflow_experiment": {"experiment_id": world.experiment}}  # type: ignore[dict-item]
            search = {"locations": [place], "filter": text}
            answer = server.ask("POST", f"{API}/traces/search", world.grant, search)
            assert len(answer.json.get("traces", [])) == count


def test_a_body_is_bounded_packed_and_unpacked(server: MLflow, ours: World) -> None:
    bomb = gzip.compress(bytes(40 * MIB))
    good = gzip.compress(protobuf(new_trace()))
    before = server.contents()
    for body, encoding, status in (
        (bytes(33 * MIB), "", 413),
        (bomb, "gzip", 413),
        (zlib.compress(bytes(40 * MIB)), "deflate", 413),
        (good[:-4], "gzip", 400),
        (good + b"more", "gzip", 400),
        (good, "deflate", 400),
        (good, "br", 400),
        (good, "gzip, gzip", 400),
        (good, "", 400),
    ):
        headers = [("Content-Encoding", encoding)] if encoding else []
        answer = export(server, ours.grant, ours.experiment, body, *headers)
        assert answer.status == status, (encoding, answer.body)
    assert server.contents() == before


def test_a_request_has_only_so_many_spans(server: MLflow, ours: World) -> None:
    """A span of ten bytes is an object of two thousand in MLflow, and a row of as many."""
    before = server.contents()

    answer = export(server, ours.grant, ours.experiment, protobuf(new_trace(), 50_001))

    assert (answer.status, answer.json["message"]) == (400, "A request has at most 50000 spans")
    assert server.contents() == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b'{"resourceSpans": 1}',
        b'{"resourceSpans": [1]}',
        b'{"resourceSpans": [null]}',
        b'{"resourceSpans": [{"scopeSpans": null}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [null]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5, "spanId": "1"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz", "spanId": "01"}]}]}]}',
        b'{"resourceSpans": [], "resourceSpans": []}',
        b'{"resourceSpans": ' + b"[" * 100_000,
        b'{"a": ' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_json_that_is_no_spans_is_malformed(server: MLflow, ours: World, body: bytes) -> None:
    before = server.contents()
    headers = [
        ("x-mlflow-experiment-id", ours.experiment),
        ("Content-Type", "application/json"),
    ]

    answer = server.ask("POST", OTLP, ours.grant, body, headers)

    assert answer.status in (400, 422), answer.body
    assert server.contents() == before


def test_an_error_shows_nothing_of_the_database(server: MLflow, ours: World) -> None:
    """Of a number that does not fit its column, a driver tells everything."""
    before = server.contents()
    late = span(new_trace()) | {"startTimeUnixNano": str(2**64 - 1)}

    answer = export(server, ours.grant, ours.experiment, spans(late))

    assert answer.status in (400, 500)
    assert set(answer.json) == {"error_code", "message"}
    for inside in (b"SQL", b"psycopg", b"INSERT", b"sqlalche", b"int"):
        assert inside not in answer.body
    assert server.contents() == before
