"""The inventory: everything that the installed MLflow has, held against what is known of it.

A route, a GraphQL field or a table that nobody has judged is never served and never visible, but a
new MLflow is better looked at than half at work.
"""

from collections.abc import Iterator
from typing import Final

from fastapi.routing import iter_route_contexts
from flask import Flask
from mlflow.server.fastapi_app import create_fastapi_app

from extauthz.plugin import graphql, rows, rules
from extauthz.plugin.refused import why_refused
from extauthz.plugin.tables import mapped, table_of

# The frameworks answer these by themselves for every route.
_AUTOMATIC: Final = frozenset({"HEAD", "OPTIONS"})
# Tables without a path to a project: nothing of them is ever visible.
INVISIBLE: Final = frozenset(
    {
        "scheduler_leases",
        "sql_assessment_daily_rollups",
        "sql_span_cost_daily_rollups",
        "sql_trace_metric_daily_rollups",
        "sql_trace_rollup_rebuild_queue",
        "workspaces",
    }
)


def unknown(flask_app: Flask) -> list[str]:
    """Return what of the installed MLflow is not classified, in words."""
    return [*_routes(flask_app), *_fields(), *_tables()]


def _routes(flask_app: Flask) -> Iterator[str]:
    for rule in flask_app.url_map.iter_rules():
        for method in sorted(set(rule.methods or ()) - _AUTOMATIC):
            if (method, rule.rule) not in rules.FLASK and not _shadowed(method, rule.rule):
                yield from _judged(method, rule.rule)
    for context in iter_route_contexts(create_fastapi_app().router.routes):
        path = context.path or ""
        for method in sorted(set(context.methods or ()) - _AUTOMATIC):
            if (method, path) not in rules.NATIVE:
                yield from _judged(method, path)


def _judged(method: str, path: str) -> Iterator[str]:
    if why_refused(path) is None:
        yield f"route {method} {path}"


def _shadowed(method: str, path: str) -> bool:
    """Tell whether a native route takes a Flask route's requests."""
    return (method, path.replace("<path:", "{").replace(">", ":path}")) in rules.NATIVE


def _fields() -> Iterator[str]:
    known = graphql.QUERIES | graphql.REFUSED
    yield from (f"GraphQL field {name}" for name in graphql.fields() if name not in known)


def _tables() -> Iterator[str]:
    for name, mapper in mapped().items():
        if name not in INVISIBLE and not rows.is_reached(table_of(mapper)):
            yield f"table {name}"
