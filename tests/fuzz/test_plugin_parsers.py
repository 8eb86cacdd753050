"""What the plugin reads of a request before MLflow does is refused, or both read the same.

Threats 19, 85, 88, 91, 92 and 109.
"""

import posixpath
import re
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from graphql import build_schema, execute, parse
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.uri import validate_path_is_safe

from extauthz.grant import HEADER
from extauthz.headers import REMOVED
from extauthz.plugin import artifacts, graphql
from extauthz.plugin.bridge import _variables
from extauthz.plugin.gate import _clean
from extauthz.plugin.refusals import Malformed, Refusal
from extauthz.plugin.sources import check_source
from tests.fuzz.cases import cases, texts
from tests.fuzz.depth import FUZZED
from tests.fuzz.jose import values

OWN: Final = "p1"
ROOT: Final = re.compile(
    r"(?:workspaces/p1/)?[1-9][0-9]*/"
    r"(?:[0-9a-f]{32}|models/m-[0-9a-f]{32}|traces/[0-9A-Za-z][0-9A-Za-z_-]*)/artifacts(?:/.+)?",
    re.DOTALL,
)
NAMES: Final = [
    *(HEADER, "X-Extauthz-Grant", "x_extauthz_grant", "x-extauthz_grant", "X_MLFLOW_WORKSPACE"),
    *("cookie", "Cookie", "authorization", "x-mlflow-workspace", "content-type", "accept"),
    *("upgrade", "Upgrade", "x-kept", "x_kept", "content_type", "transfer-encoding"),
]


def inside(path: str) -> str:
    """Return where a path below the storage root is, in MLflow's reading."""
    return posixpath.normpath(unquote(validate_path_is_safe(path)))


def hold_source(source: str) -> bool:
    """Hold that a source is refused, or is something of the project; tells which."""
    try:
        check_source(source, OWN)
    except Refusal:
        return False
    if source in ("prompt-template", "dummy-source"):
        return True
    parts = urlsplit(source)
    assert parts.scheme in ("runs", "models", "mlflow-artifacts")
    assert not parts.netloc
    if parts.scheme == "mlflow-artifacts":
        assert ROOT.fullmatch(inside(parts.path.removeprefix("/")))
    return True


def test_each_saved_source_is_of_the_project_or_refused() -> None:
    """Threats 91 and 92."""
    assert sum(hold_source(source) for source in cases("sources")) >= 7


@FUZZED
@given(texts("sources"))
def test_no_source_leads_out_of_the_project(source: str) -> None:
    """Threats 91 and 92, CVE-2023-1177, CVE-2024-3573, CVE-2025-11201."""
    hold_source(source)


@FUZZED
@given(texts("sources"), st.sampled_from([artifacts.check_stored, artifacts.check_file]))
def test_no_stored_path_leads_out_of_the_project(path: str, check: Any) -> None:
    """Threats 87 and 88."""
    path = path.partition(":")[2].lstrip("/")
    with suppress(Refusal):
        check(path, OWN)
        assert ROOT.fullmatch(inside(path))
        # What MLflow joins to its own root stays what it was.
        assert posixpath.normpath(path) == path


# Without validation the types do not matter, and importing MLflow's own schema changes a process.
SCHEMA: Final = build_schema(
    "scalar Any\n"
    + "\n".join(
        f"type {kind} {{{' '.join(f'{name}(input: Any): Any' for name in sorted(names))}}}"
        for kind, names in (
            ("Query", graphql.QUERIES | graphql.REFUSED),
            ("Mutation", graphql.QUERIES | graphql.REFUSED),
        )
    )
)


def fields_of(document: str, variables: object, name: object) -> set[str]:
    """Return the fields at the root that would be resolved; nothing is."""
    asked = set()

    def note(_root: object, info: Any, **_: object) -> None:
        asked.add(info.field_name)

    execute(
        SCHEMA,
        parse(document),
        variable_values=variables if isinstance(variables, dict) else None,
        operation_name=name if isinstance(name, str) else None,
        field_resolver=note,
    )
    return asked


def hold_query(body: dict[str, Any]) -> bool:
    try:
        graphql.check_query(body)
    except Refusal:
        return False
    asked = fields_of(body["query"], body.get("variables"), body.get("operationName"))
    assert asked <= graphql.QUERIES, asked
    return True


def test_each_saved_query_is_one_of_mlflows_own_or_refused() -> None:
    """Threat 85."""
    assert sum(hold_query({"query": document}) for document in cases("graphql")) >= 5


@FUZZED
@given(
    query=texts("graphql"),
    variables=st.one_of(
        st.none(), st.dictionaries(st.text(max_size=4), values, max_size=2), values
    ),
    name=st.one_of(st.none(), st.sampled_from(["a", "b", "GetRun", ""]), values),
)
def test_no_query_asks_for_another_field(query: str, variables: object, name: object) -> None:
    """Threat 85, CVE-2025-14297, CVE-2026-2734, CVE-2025-0453."""
    hold_query({"query": query, "variables": variables, "operationName": name})


@FUZZED
@given(values)
def test_what_is_no_query_is_refused(body: object) -> None:
    with suppress(Refusal):
        graphql.check_query(body)
        assert isinstance(body, dict)


@FUZZED
@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(NAMES).map(str.encode), st.binary(min_size=1, max_size=12)),
            st.binary(max_size=8),
        ),
        max_size=6,
    )
)
def test_no_spelling_of_a_header_is_left_for_mlflow(headers: list[tuple[bytes, bytes]]) -> None:
    """Threats 18, 19 and 23, CVE-2025-64484: what Flask sees is what WSGI makes of the names."""
    try:
        kept, copies = _clean(headers)
    except Malformed:
        return
    seen = {name.upper().replace("_", "-") for name in _variables(kept)}
    removed = {f"HTTP-{name.upper()}" for name in (HEADER, *REMOVED)}
    assert seen.isdisjoint(removed)
    assert "HTTP-UPGRADE" not in seen
    assert len(copies) == sum(name.lower() == HEADER.encode() for name, _ in headers)
