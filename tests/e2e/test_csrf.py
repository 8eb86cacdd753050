"""What a page of another origin can have a browser do with its session, where MLflow never asks.

Threat 62: MLflow 3.17 checks no origin on `/graphql` and `/v1/traces`. Sessions are those of a
login with GitLab, and those of SharingHub.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.caller import Caller, Headers
from tests.gitlab import DEVELOPER
from tests.plugin.endpoints import READS
from tests.plugin.world import World, build
from tests.plugin.world_traces import API, OTLP, new_trace, span, spans
from tests.polling import eventually
from tests.servers.edge import edge
from tests.servers.envoy import Answer
from tests.servers.mlflow import GRANT_KEY, MLflow
from tests.servers.stack import Stack, login_gateway, proxy
from tests.sharinghub import CONTRIBUTOR, COOKIE, SharingHub
from tests.signing_in import signed_in
from tests.tenants import Project, Tenants

(GRAPHQL,) = (endpoint for endpoint in READS if endpoint.path == "/graphql")
REFUSED = "A page may change things here only if it comes from"
UNEXPLAINED = "The request does not say which page it comes from"
PUBLIC = "https://sharinghub.example.org"


@dataclass(frozen=True, slots=True)
class Session:
    """A developer's session: what the browser adds by itself, and where our own pages are."""

    cookie: Caller
    origin: str
    holds: World
    server: MLflow

    @property
    def views(self) -> list[Caller]:
        """The session in the view of its project, and in that of everything."""
        everything = Caller(self.cookie.port, "", self.cookie.headers)
        return [self.cookie, everything]

    def headers(self, names: str) -> Headers:
        """Return the headers that a browser adds, with our own origin filled in."""
        pairs = (
            each.partition(": ") for each in names.format(ours=self.origin).split("; ") if each
        )
        return tuple((name, value) for name, _, value in pairs)

    def query(self, view: Caller, *headers: tuple[str, str]) -> Answer:
        """Ask GraphQL for a run of the project."""
        method, path, body = GRAPHQL.about(self.holds, GRAPHQL.keys[0])
        return view.send(method, path, body, *headers)

    def export(self, view: Caller, trace: str, *headers: tuple[str, str]) -> Answer:
        """Send a span of a trace to the project's experiment."""
        experiment = ("x-mlflow-experiment-id", self.holds.experiment)
        return view.send("POST", OTLP, spans(span(trace)), experiment, *headers)

    def stored(self, trace: str) -> list[str]:
        """Return the names of the spans that MLflow holds of a trace."""
        answer = self.cookie.send("GET", f"{API}/traces/get?trace_id={trace}")
        if answer.status == 404:
            return []
        assert answer.status == 200, answer.body
        return [each["name"] for each in answer.json()["trace"]["spans"]]


@pytest.fixture(scope="module")
def project(whole_stack: Stack) -> Project:
    return Tenants(whole_stack).project()


@pytest.fixture(scope="module")
def holds(whole_stack: Stack, project: Project) -> World:
    return build(whole_stack.mlflow, project.id)


@pytest.fixture(scope="module")
def with_gitlab(
    whole_stack: Stack, project: Project, holds: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("with-gitlab")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as stack:
        caller = signed_in(stack, project.member(DEVELOPER), f"/{project.path}/tracking")
        yield Session(_cookie_of(caller), stack.public_url, holds, whole_stack.mlflow)


@pytest.fixture(scope="module")
def with_sharinghub(
    whole_stack: Stack, project: Project, holds: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    server, folder = whole_stack.mlflow, tmp_path_factory.mktemp("with-sharinghub")
    settings = {"PUBLIC_URL": PUBLIC, "GRANT_KEY": GRANT_KEY.get_secret_value()}
    url = f"http://127.0.0.1:{server.port}"
    with (
        SharingHub.start() as hub,
        edge(folder, sharinghub_url=hub.url, mlflow_url=url, settings=settings) as authorizer,
        proxy(folder, authorizer, server) as envoy,
    ):
        hub.project(project.id, project.path, dev=CONTRIBUTOR)
        cookie = ("Cookie", f"{COOKIE}={hub.session(hub.token('dev'))}")
        caller = Caller(envoy.port, f"/{project.path}/tracking", (cookie,))
        yield Session(caller, PUBLIC, holds, server)


@pytest.fixture(params=["with_gitlab", "with_sharinghub"])
def session(request: pytest.FixtureRequest) -> Session:
    """A session of each kind."""
    session = request.getfixturevalue(request.param)
    assert isinstance(session, Session)
    eventually(lambda: session.query(session.views[1], ("Origin", session.origin)).status, 200)
    return session


def _cookie_of(caller: Caller) -> Caller:
    """Return the same session without what says which page its requests come from."""
    cookie = tuple(each for each in caller.headers if each[0] == "Cookie")
    return Caller(caller.port, caller.prefix, cookie)


foreign = pytest.mark.parametrize(
    ("names", "said"),
    [
        ("Origin: https://evil.example", REFUSED),
        ("Origin: null", REFUSED),
        ("Origin: {ours}.evil.example", REFUSED),
        ("Origin: {ours}:8443", REFUSED),
        ("Sec-Fetch-Site: cross-site", REFUSED),
        ("Sec-Fetch-Site: same-site", REFUSED),
        ("Sec-Fetch-Site: none", REFUSED),
        ("Origin: {ours}; Sec-Fetch-Site: cross-site", REFUSED),
        ("Origin: {ours}; Sec-Fetch-Site: same-site", REFUSED),
        ("Origin: null; Sec-Fetch-Site: same-origin", REFUSED),
        ("", UNEXPLAINED),
        ("Referer: {ours}/; Sec-Fetch-Mode: cors", UNEXPLAINED),
    ],
)
ours = pytest.mark.parametrize(
    "names",
    [
        "Origin: {ours}",
        "Sec-Fetch-Site: same-origin",
        "Origin: {ours}; Sec-Fetch-Site: same-origin",
    ],
)


@ours
def test_graphql_answers_our_own_pages(session: Session, names: str) -> None:
    for view in session.views:
        answer = session.query(view, *session.headers(names))
        assert answer.status == 200, answer.body
        assert session.holds.run in str(answer.json()["data"]["mlflowGetRun"])


@foreign
def test_graphql_answers_no_other_page(session: Session, names: str, said: str) -> None:
    for view in session.views:
        answer = session.query(view, *session.headers(names))
        assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert answer.json()["message"].startswith(said)


@ours
def test_spans_of_our_own_pages_are_stored(session: Session, names: str) -> None:
    trace = new_trace()
    answer = session.export(session.cookie, trace, *session.headers(names))
    assert answer.status == 200, answer.body
    assert session.stored(trace) == ["step"]


@foreign
def test_spans_of_other_pages_are_not_stored(session: Session, names: str, said: str) -> None:
    trace, before = new_trace(), session.server.contents()
    for view in session.views:
        answer = session.export(view, trace, *session.headers(names))
        assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
        assert answer.json()["message"].startswith(said)
    assert session.stored(trace) == []
    assert session.server.contents() == before


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_token_is_no_way_around_it(
    whole_stack: Stack, project: Project, session: Session, origin: str
) -> None:
    """Threat 121."""
    caller, before = project.developer(), whole_stack.mlflow.contents()
    for answer in (
        session.query(caller, ("Origin", origin)),
        session.export(caller, new_trace(), ("Origin", origin)),
        caller.sending(("Origin", origin)).call("POST experiments/create", name="forged"),
    ):
        assert answer.status == 403
        assert answer.json()["message"].startswith(REFUSED)
    assert whole_stack.mlflow.contents() == before


def test_there_are_no_spans_for_everything(session: Session) -> None:
    trace, before = new_trace(), session.server.contents()
    answer = session.export(session.views[1], trace, ("Origin", session.origin))
    assert answer.status == 403
    assert "project" in answer.json()["message"]
    assert session.server.contents() == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_asks_neither(session: Session, method: str) -> None:
    """The origin of a GET is not looked at, so a GET must not do what a POST does."""
    query = "/graphql?query=%7BmlflowGetRun%28input%3A%7BrunId%3A%22" + session.holds.run
    before = session.server.contents()
    for view in session.views:
        for target in (f"{query}%22%7D%29%7Brun%7Binfo%7BrunUuid%7D%7D%7D%7D", OTLP):
            answer = view.send(method, target, None, ("Origin", "https://evil.example"))
            assert answer.status in (403, 404, 405)
            assert session.holds.run.encode() not in answer.body
    assert session.server.contents() == before
