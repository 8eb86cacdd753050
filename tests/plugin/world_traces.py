"""A trace of a project: spans, an assessment, and a file."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from extauthz.grant import Grant
from tests.servers.mlflow import Answer, MLflow

API = "/api/3.0/mlflow"
OTLP = "/v1/traces"
# As OpenTelemetry writes ids in JSON.
ROOT_SPAN, CHILD_SPAN = "0000000000000001", "0000000000000002"
START = 1_767_225_600_000_000_000


@dataclass(frozen=True, slots=True)
class Traced:
    """The ids of a trace, of an assessment of it, and of a file of it."""

    trace: str = ""
    assessment: str = ""
    attachment: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """What must never be seen outside of the project."""
        return self.trace, self.assessment


def new_trace() -> str:
    """Return the id of a trace that is nowhere yet."""
    return f"tr-{uuid4().hex}"


def trace_info(experiment: str, trace_id: str = "", **more: object) -> dict[str, object]:
    """Return a trace to start, as MLflow's clients describe it."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    info = {
        "trace_id": trace_id or new_trace(),
        "trace_location": place,
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
    }
    return {"trace": {"trace_info": info | more}}


def feedback(name: str = "good", **more: object) -> dict[str, object]:
    """Return an assessment to create."""
    kind = {"assessment_name": name, "feedback": {"value": True}}
    return {"assessment": {**kind, "source": {"source_type": "HUMAN", "source_id": "ann"}} | more}


def span(trace_id: str, span_id: str = ROOT_SPAN, **attributes: str) -> dict[str, object]:
    """Return a span of a trace; of one that has a parent unless it is the root."""
    parent = {} if span_id == ROOT_SPAN else {"parentSpanId": ROOT_SPAN}
    return {
        "traceId": trace_id.removeprefix("tr-"),
        "spanId": span_id,
        **parent,
        "name": "step",
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 1_000_000),
        "attributes": [keyed(key, value) for key, value in attributes.items()],
    }


def keyed(key: str, value: str) -> dict[str, object]:
    """Return an attribute."""
    return {"key": key, "value": {"stringValue": value}}


def spans(*each: dict[str, object], **resource: str) -> dict[str, object]:
    """Return a request of OpenTelemetry's exporters."""
    attributes = [keyed(key, value) for key, value in resource.items()]
    scope = {"scopeSpans": [{"spans": [*each]}]}
    return {"resourceSpans": [{"resource": {"attributes": attributes}, **scope}]}


def export(
    server: MLflow,
    grant: Grant | None,
    experiment: str,
    body: object,
    *headers: tuple[str, str],
) -> Answer:
    """Send spans to an experiment; bytes go as protobuf."""
    if isinstance(body, bytes):
        headers = (("Content-Type", "application/x-protobuf"), *headers)
    return server.ask("POST", OTLP, grant, body, [("x-mlflow-experiment-id", experiment), *headers])


def files_of(number: int, experiment: str, trace_id: str) -> str:
    """Return where the files of a trace are, as clients of the proxy write it."""
    return f"workspaces/p{number}/{experiment}/traces/{trace_id}/artifacts"


def trace(server: MLflow, grant: Grant, experiment: str) -> Traced:
    """Add a trace to an experiment of a project."""
    secret, trace_id, attachment = f"secret-{grant.project_id}", new_trace(), str(uuid4())

    def written(answer: Answer) -> Answer:
        assert answer.status == 200, answer.body
        return answer

    words = {"tags": {"secret": secret}, "trace_metadata": {"secret": secret}}
    info = trace_info(experiment, trace_id, request_preview=secret, **words)
    written(server.ask("POST", f"{API}/traces", grant, info))
    steps = (span(trace_id, each, secret=secret) for each in (ROOT_SPAN, CHILD_SPAN))
    written(export(server, grant, experiment, spans(*steps)))
    path = f"{files_of(grant.project_id, experiment, trace_id)}/attachments/{attachment}"
    artifacts = "/api/2.0/mlflow-artifacts/artifacts"
    written(server.ask("PUT", f"{artifacts}/{path}", grant, secret.encode()))
    assessed: Any = written(
        server.ask(
            "POST", f"{API}/traces/{trace_id}/assessments", grant, feedback(rationale=secret)
        )
    ).json
    return Traced(trace_id, assessed["assessment"]["assessment_id"], attachment)


def get(server: MLflow, grant: Grant, address: str, /, **query: object) -> Answer:
    """Ask with a query."""
    return server.ask("GET", f"{address}?{urlencode(query, doseq=True)}", grant)


def ids(answer: Answer, field: str = "traces") -> list[str]:
    """Return the ids of the traces in an answer, in their order."""
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json.get(field, [])
    return [each.get("trace_info", each)["trace_id"] for each in found]
