"""The real MLflow, asked with hostile filters, orders, tokens, numbers, sources and bodies.

Threats 83, 97, 98, 109, 110, 142 and 143: an answer never shows anything of another project, and
never quotes the database. MLflow 3.17 fails at some of these, such as a token that is JSON but no
object; then nothing but that it failed is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.grant import Grant, Why
from extauthz.levels import Role
from tests.fuzz.cases import cases, texts
from tests.fuzz.depth import ON_THE_WIRE
from tests.fuzz.jose import values
from tests.plugin.world import API, World, build
from tests.servers.mlflow import Answer, MLflow, everything, mlflow, project

TWO: Final = "/api/2.0/mlflow"
THREE: Final = "/api/3.0/mlflow"
# Method, path, and the names of the filter and of the order, where there are any.
SEARCHES: Final = {
    "experiments": ("POST", f"{TWO}/experiments/search", "filter", "order_by"),
    "experiments by GET": ("GET", f"{TWO}/experiments/search", "filter", "order_by"),
    "runs": ("POST", f"{TWO}/runs/search", "filter", "order_by"),
    "logged models": ("POST", f"{TWO}/logged-models/search", "filter", ""),
    "registered models": ("GET", f"{TWO}/registered-models/search", "filter", "order_by"),
    "model versions": ("GET", f"{TWO}/model-versions/search", "filter", "order_by"),
    "traces": ("POST", f"{THREE}/traces/search", "filter", "order_by"),
    "datasets": ("POST", f"{THREE}/datasets/search", "filter_string", "order_by"),
}
_INSIDES: Final = (b"sqlalche", b"[SQL", b"sqlite", b"Traceback", b'File "', b"workspace_")


def _is_bare(answer: Answer) -> bool:
    """Tell whether a failure says nothing but that it is one."""
    told = answer.json
    return set(told) == {"error_code", "message"} and "server's log" in told["message"]


@dataclass(frozen=True, slots=True)
class Sides:
    """A server, and two projects in it."""

    server: MLflow
    ours: World
    theirs: World

    def judge(self, answer: Answer, sent: str) -> int:
        """Hold that an answer shows nothing that was not sent; returns its status."""
        assert answer.status < 500 or _is_bare(answer), (sent, answer.body)
        for mark in self.theirs.marks:
            assert mark in sent or mark.encode() not in answer.body, (sent, mark)
        shown = [each for each in _INSIDES if each in answer.body and each.decode() not in sent]
        assert not shown, (sent, answer.body)
        return answer.status

    def hold(self, kind: str, fields: dict[str, Any], grant: Grant) -> int:
        """Search, hold what must hold, and return the status."""
        method, path, *_ = SEARCHES[kind]
        if method == "GET":
            query = urlencode(fields, doseq=True, errors="surrogatepass")
            answer = self.server.ask(method, f"{path}?{query}", grant)
        else:
            answer = self.server.ask(method, path, grant, fields)
        return self.judge(answer, str(fields))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield Sides(server, build(server, 101), build(server, 102))


def search(sides: Sides, kind: str, **given: Any) -> dict[str, Any]:
    """Return the fields of a search in both projects' experiments."""
    _, _, filters, orders = SEARCHES[kind]
    names = {"filter": filters, "order": orders}
    fields = {names.get(name, name): value for name, value in given.items()}
    fields.setdefault("max_results", 5)
    experiments = [sides.ours.experiment, sides.theirs.experiment]
    if kind in ("runs", "logged models", "datasets"):
        fields["experiment_ids"] = experiments
    if kind == "traces":
        fields["locations"] = [
            {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": each}}
            for each in experiments
        ]
    return {name: value for name, value in fields.items() if name}


@pytest.mark.parametrize("kind", SEARCHES)
def test_saved_filters_orders_and_tokens_find_own_rows_or_say_what_is_wrong(
    sides: Sides, kind: str
) -> None:
    grant = sides.ours.grant
    assert sides.hold(kind, search(sides, kind), grant) == 200
    for text in cases("filters"):
        sides.hold(kind, search(sides, kind, filter=text), grant)
    for token in cases("page_tokens"):
        sides.hold(kind, search(sides, kind, page_token=token), grant)


@ON_THE_WIRE
@given(data=st.data())
def test_no_search_fails_or_finds_what_is_hidden(sides: Sides, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(SEARCHES)))
    text = data.draw(texts("filters"))
    order = data.draw(st.lists(texts("filters"), max_size=2))
    token = data.draw(st.one_of(st.just(""), texts("page_tokens")))
    number = data.draw(st.one_of(st.just(5), st.integers(), values))
    grant = data.draw(st.sampled_from([sides.ours.grant, everything(101), everything()]))
    fields = search(sides, kind, filter=text, order=order, page_token=token, max_results=number)
    sides.hold(kind, fields, grant)


@ON_THE_WIRE
@given(source=texts("sources"), name=st.sampled_from(["churn", "", "\x00", "x" * 300]))
def test_no_source_of_a_version_fails_or_is_anothers(sides: Sides, source: str, name: str) -> None:
    """Threats 91 and 92."""
    body = {"name": name, "source": source}
    answer = sides.server.ask("POST", f"{API}/model-versions/create", sides.ours.grant, body)
    # MLflow itself fails at what is no URL, before anybody looks at the row.
    assert answer.status in (200, 400, 403, 404) or _is_bare(answer), (source, answer.body)


# What takes a body, of each kind that reads one in its own way.
TAKERS: Final = [
    ("POST", f"{TWO}/experiments/search"),
    ("POST", f"{TWO}/experiments/create"),
    ("POST", f"{TWO}/runs/log-batch"),
    ("POST", f"{TWO}/registered-models/create"),
    ("PATCH", f"{TWO}/registered-models/update"),
    ("DELETE", f"{TWO}/registered-models/delete"),
    ("POST", f"{THREE}/traces"),
    ("POST", f"{THREE}/datasets/create"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=x&path=y"),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/x/artifacts"),
    ("POST", "/graphql"),
    ("POST", "/v1/traces"),
    ("GET", f"{TWO}/experiments/search"),
]
KINDS: Final = [
    *("application/json", "application/json; charset=utf-16", "text/plain", ""),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
    "application/x-protobuf",
]


def send(sides: Sides, at: int, body: bytes, kind: str, encoding: str = "") -> int:
    """Send a body with a grant that reads; returns the status."""
    method, path = TAKERS[at]
    grant = project(101, Role.READ, Why.GUEST)
    experiment = ("x-mlflow-experiment-id", sides.theirs.experiment)
    headers = [("content-type", kind), ("content-encoding", encoding), experiment]
    sent = [(name, value) for name, value in headers if value]
    answer = sides.server.ask(method, path, grant, body, sent)
    return sides.judge(answer, f"{body!r}")


def test_saved_bodies_change_nothing_with_a_grant_that_reads(sides: Sides) -> None:
    """Threats 109 and 110."""
    before = sides.server.contents()
    good = 0
    for body in cases("bodies"):
        for at in range(len(TAKERS)):
            status = send(sides, at, body.encode("utf-8", "surrogatepass"), KINDS[0])
            good += status == 200
    assert good
    assert sides.server.contents() == before


@ON_THE_WIRE
@given(
    at=st.integers(0, len(TAKERS) - 1),
    body=st.one_of(
        texts("bodies").map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.binary(max_size=80),
    ),
    kind=st.sampled_from(KINDS),
    encoding=st.sampled_from(["", "gzip", "deflate", "br"]),
)
def test_no_body_changes_anything_with_a_grant_that_reads(
    sides: Sides, *, at: int, body: bytes, kind: str, encoding: str
) -> None:
    """Threats 104, 109 and 110."""
    before = sides.server.contents()
    send(sides, at, body, kind, encoding)
    assert sides.server.contents() == before
