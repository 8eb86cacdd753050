"""Requests that would read or write another project's files, or have the server do so."""

from tests.plugin.attack import NOWHERE, Attack
from tests.plugin.world_traces import OTLP, span, spans, trace_info

_STORED = "2.0/mlflow-artifacts/artifacts"
_PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
# Where stock MLflow then looks for the files of a trace.
_PLACES = ("mlflow-artifacts:/<theirs.files>", "file:///etc")
_OWN = {"name": "churn", "run_id": "<ours.run>"}

PATHS = tuple(
    Attack(88, f"{method} {path}", body, None)
    for path in (
        f"{_STORED}/<theirs.files>/data.txt",
        f"{_STORED}/0<theirs.experiment>/<theirs.run>/artifacts/data.txt",
        f"{_STORED}/workspaces/p0<theirs.number>/<theirs.experiment>/<theirs.run>/artifacts/data.txt",
        f"{_STORED}/<ours.files>/../../../../<theirs.files>/data.txt",
        f"{_STORED}/<ours.files>/%2e%2e/%2e%2e/%2e%2e/%2e%2e/<theirs.files>/data.txt",
        f"{_STORED}/<ours.files>/%252e%252e/data.txt",
        f"{_STORED}/<ours.files>/a%5cb",
        f"{_STORED}/.",
        f"{_STORED}/..",
        f"{_STORED}/%2e",
        f"{_STORED}/workspaces",
        f"{_STORED}/workspaces/p<ours.number>",
        f"{_STORED}/<ours.experiment>/<ours.run>",
    )
    for method, body in (("GET", None), ("PUT", b"overwritten"), ("DELETE", None))
) + tuple(
    Attack(88, f"GET {_STORED}{query}", None, None)
    for query in (
        # Without a project it is a path of the own one.
        "/<theirs.experiment>/<theirs.run>/artifacts/data.txt",
        "",
        "?path=",
        "?path=.",
        "?path=..",
        "?path=/",
        "?path=workspaces",
        "?path=<theirs.files>",
        "?path=%252e%252e",
    )
)

LOCATIONS = (
    *(
        Attack(
            89,
            f"PATCH {version}/mlflow/traces/<ours.traced.trace>/tags",
            {"key": "mlflow.artifactLocation", "value": place},
            403,
        )
        for version in ("2.0", "3.0")
        for place in _PLACES
    ),
    *(
        Attack(
            89,
            "POST 3.0/mlflow/traces",
            trace_info("<ours.experiment>", trace, tags={"mlflow.artifactLocation": place}),
            403,
        )
        for trace in (NOWHERE, "<ours.traced.trace>")
        for place in _PLACES
    ),
    *(
        Attack(
            89,
            f"POST {OTLP}",
            spans(span(NOWHERE, **{"mlflow.traceTag.mlflow.artifactLocation": place})),
            403,
            (("x-mlflow-experiment-id", "<ours.experiment>"),),
        )
        for place in _PLACES
    ),
    *(
        Attack(90, "POST 2.0/mlflow/experiments/create", {"name": "elsewhere", key: place}, 400)
        for key, place in (
            ("artifact_location", "file:///tmp/x"),
            ("artifactLocation", "/tmp/x"),
            ("artifact_location", "s3://other/bucket"),
            ("artifact_location", "mlflow-artifacts:/<theirs.files>"),
            ("artifactLocation", "mlflow-artifacts:/workspaces/p<ours.number>/x"),
        )
    ),
)

SOURCES = tuple(
    Attack(
        threat, "POST 2.0/mlflow/model-versions/create", {**_OWN, **more, "source": source}, None
    )
    for threat, more in ((91, {}), (92, {"tags": _PROMPT}))
    for source in (
        "file:///etc",
        "/etc",
        "s3://other/bucket",
        "http://127.0.0.1:1/model",
        "mlflow-artifacts:/<ours.files>/../../../../<theirs.files>",
        "mlflow-artifacts:/<theirs.files>",
        "mlflow-artifacts://elsewhere/<ours.files>",
        "runs:/<theirs.run>/model",
        "models:/<theirs.model>",
        "models:/<theirs.own>/1",
        "models:/<theirs.own>@champion",
    )
)

FILES = (*PATHS, *LOCATIONS, *SOURCES)
