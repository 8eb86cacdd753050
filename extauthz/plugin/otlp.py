"""OTLP: spans as OpenTelemetry's exporters send them, on their way to MLflow's endpoint for them.

MLflow reads such a body whole, unpacks it without a limit, and works on it where all other requests
wait for their turn.
"""

import asyncio
import zlib
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from mlflow.server.otel_api import export_traces
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from extauthz.plugin.bodies import LARGEST, once, read, too_large
from extauthz.plugin.errors import LOGGED, told_of
from extauthz.plugin.refusals import Malformed

log: Final = structlog.get_logger("extauthz.plugin")

# OpenTelemetry's collector sends 8,192 at once. A span of ten bytes becomes an object of 2 KiB.
_MOST_SPANS: Final = 50_000
_WINDOWS: Final = {"gzip": (16 + zlib.MAX_WBITS,), "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
# As many write at once as do on Flask's side.
_EXPORTS: Final = CapacityLimiter(40)
# MLflow looks into JSON of any shape, and Python does not follow it to any depth.
_UNREADABLE: Final = (
    *(DecodeError, ParseError, ValueError),
    *(AttributeError, RecursionError, TypeError),
)


@wraps(export_traces)
async def export(request: Request, *, content_encoding: str | None, **headers: Any) -> Response:
    """Write the spans of a request."""
    body = await read(request.receive, LARGEST)

    def work() -> Response:
        plain = _unpacked(body, content_encoding)
        asked = Request(request.scope, once(plain, request.receive))
        try:
            _check_number(plain, headers["content_type"] or "")
            answer: Response = asyncio.run(export_traces(asked, content_encoding=None, **headers))
        except _UNREADABLE as error:
            raise Malformed("The spans of this request cannot be read") from error
        return answer

    return _without_insides(await run_sync(work, limiter=_EXPORTS))


def _unpacked(body: bytes, encoding: str | None) -> bytes:
    if not encoding:
        return body
    for window in _WINDOWS.get(encoding.lower(), ()):
        unpacking = zlib.decompressobj(window)
        try:
            plain = unpacking.decompress(body, LARGEST + 1)
        except zlib.error:
            continue
        if len(plain) > LARGEST:
            raise too_large(LARGEST)
        if unpacking.eof and not unpacking.unused_data:
            return plain
    raise Malformed("The body of this request cannot be unpacked: send gzip, deflate or neither")


def _check_number(body: bytes, content_type: str) -> None:
    """Refuse more spans than are written at once; reads them as MLflow does."""
    asked = ExportTraceServiceRequest()
    if content_type.partition(";")[0].strip() == "application/json":
        Parse(body, asked, ignore_unknown_fields=True)
    else:
        asked.ParseFromString(body)
    scopes = (scope for resource in asked.resource_spans for scope in resource.scope_spans)
    if sum(len(scope.spans) for scope in scopes) > _MOST_SPANS:
        raise Malformed(f"A request has at most {_MOST_SPANS} spans")


def _without_insides(answer: Response) -> Response:
    text = bytes(answer.body).decode(errors="replace")
    if answer.status_code < HTTPStatus.BAD_REQUEST or not (
        told := told_of(answer.status_code, text)
    ):
        return answer
    log.error("request.failed", answer=text[:LOGGED])
    return JSONResponse(told, answer.status_code)
