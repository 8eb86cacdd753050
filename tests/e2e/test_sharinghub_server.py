"""What SharingHub's own server asks MLflow for, to show the models of a project: two calls.

`GET <tracking URI>api/2.0/mlflow/registered-models/search`, and for each model that it finds
`GET <tracking URI>get-artifact?path=…/MLmodel&run_uuid=…`. It sends the token of whoever looks, the
default token for visitors, or a bearer with nothing in it; what is no success it takes for no
models.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.plugin.world import API, ARTIFACTS
from tests.polling import eventually
from tests.servers.edge import edge
from tests.servers.envoy import Answer
from tests.servers.mlflow import GRANT_KEY, MLflow, mlflow, project
from tests.servers.stack import Stack, proxy
from tests.sharinghub import CONTRIBUTOR, GUEST, READ_ONLY, SharingHub
from tests.tenants import Project, Tenants

SEARCH = "/api/2.0/mlflow/registered-models/search"
MODEL = "detector"
EMPTY = ("", " ")
OURS, OPEN = 101, 102


@dataclass(frozen=True, slots=True)
class Held:
    """A project of MLflow's with one model: the run it is from, and what is in its MLmodel."""

    number: int
    run: str
    text: str

    @property
    def shown(self) -> dict[str, str]:
        """What SharingHub shows of it."""
        return {named(self.number): self.text}


def named(number: int) -> str:
    """Return the name of a model as SharingHub tells its users to write it."""
    return f"{MODEL} ({number})"


def held(server: MLflow, number: int) -> Held:
    """Fill a project as MLflow's client does when a run's model is registered."""

    def done(method: str, path: str, body: object) -> Any:
        answer = server.ask(method, path, project(number), body)
        assert answer.status == 200, answer.body
        return answer.json if answer.body else None

    text, name = f"flavors: {{}}\nproject: secret-{number}\n", named(number)
    experiment = done("POST", f"{API}/experiments/create", {"name": MODEL})["experiment_id"]
    run = done("POST", f"{API}/runs/create", {"experiment_id": experiment})["run"]["info"]
    source = f"{run['artifact_uri']}/model"
    stored = source.removeprefix("mlflow-artifacts:/")
    done("PUT", f"{ARTIFACTS}/{stored}/MLmodel", text.encode())
    done("POST", f"{API}/registered-models/create", {"name": name})
    version = {"name": name, "source": source, "run_id": run["run_id"]}
    done("POST", f"{API}/model-versions/create", version)
    return Held(number, run["run_id"], text)


def viewed(caller: Caller) -> dict[str, str]:
    """Return what SharingHub's server finds: the MLmodel of each model, by the model's name."""
    found = caller.send("GET", SEARCH)
    models = found.json().get("registered_models", []) if found.status == 200 else []
    return {model["name"]: described(caller, model["latest_versions"]) for model in models}


def described(caller: Caller, versions: Sequence[dict[str, str]]) -> str:
    """Return the MLmodel of the latest version of a model."""
    (version,) = versions
    _, marked, path = version["source"].partition("/artifacts/")
    assert marked
    answer = file(caller, version["run_id"], path)
    assert answer.status == 200, answer.body
    escaped = file(caller, version["run_id"], quote(path, safe=""))
    assert escaped.body == answer.body
    return answer.body.decode()


def file(caller: Caller, run: str, path: str = "model") -> Answer:
    """Ask for the MLmodel of a run."""
    return caller.send("GET", f"/get-artifact?path={path}/MLmodel&run_uuid={run}")


def both(caller: Caller, run: str) -> list[int]:
    """Return the status of both calls."""
    return [caller.send("GET", SEARCH).status, file(caller, run).status]


@pytest.fixture(scope="module")
def pair(whole_stack: Stack) -> list[tuple[Project, Held]]:
    """Two projects of a GitLab, with a model each."""
    projects = [Tenants(whole_stack).project() for _ in range(2)]
    return [(each, held(whole_stack.mlflow, each.id)) for each in projects]


class TestWithGitLab:
    def test_a_users_token_shows_the_models_of_a_project(
        self, pair: list[tuple[Project, Held]]
    ) -> None:
        for each, has in pair:
            assert viewed(each.guest()) == viewed(each.developer()) == has.shown

    def test_an_empty_bearer_is_nobody(self, pair: list[tuple[Project, Held]]) -> None:
        """Threat 43."""
        (each, has), _ = pair
        for token in (*EMPTY, "glpat-made-up"):
            for caller in (each.caller(token), each.tenants.everywhere(token)):
                assert both(caller, has.run) == [401, 401]
                assert viewed(caller) == {}

    def test_nothing_is_shown_of_another_project(self, pair: list[tuple[Project, Held]]) -> None:
        """Threat 86."""
        for (ours, _), (theirs, has) in (pair, pair[::-1]):
            stranger = ours.guest()
            assert both(stranger.in_view_of(theirs.caller("")), has.run) == [404, 404]
            assert file(stranger, has.run).status == 404

    def test_the_view_of_everything_shows_the_models_of_all(
        self, pair: list[tuple[Project, Held]]
    ) -> None:
        (each, has), (_, other) = pair
        everywhere = each.guest().in_view_of(each.tenants.everywhere(""))
        eventually(lambda: viewed(everywhere), has.shown)
        assert file(everywhere, other.run).status == 404

    def test_mlflows_client_registers_what_is_found(
        self, whole_stack: Stack, tmp_path: Path
    ) -> None:
        each = Tenants(whole_stack).project()
        developer = each.developer()
        (_, bearer), *_ = developer.headers
        run_client(
            "register",
            *(named(each.id), "flavors: {}"),
            uri=developer.uri,
            folder=tmp_path,
            MLFLOW_TRACKING_TOKEN=bearer.removeprefix("Bearer "),
        )
        assert viewed(each.guest()) == {named(each.id): "flavors: {}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(scope="module")
def ours(server: MLflow) -> Held:
    """A private project, of which somebody is a guest."""
    return held(server, OURS)


@pytest.fixture(scope="module")
def public(server: MLflow) -> Held:
    """A project that everybody reads."""
    return held(server, OPEN)


@pytest.fixture(scope="module")
def running() -> Iterator[SharingHub]:
    with SharingHub.start() as hub:
        yield hub


@pytest.fixture
def hub(running: SharingHub) -> SharingHub:
    running.reset()
    running.project(OURS, "acme/vision", ann=GUEST, robot=CONTRIBUTOR)
    running.project(OPEN, "acme/open", others=READ_ONLY, robot=CONTRIBUTOR)
    return running


@dataclass(frozen=True, slots=True)
class Front:
    """Where MLflow is reached: an address of its own, or a path below SharingHub's."""

    port: int
    prefix: str

    def project(self, path: str, token: str) -> Caller:
        """Return who asks at the tracking URI of a project."""
        return Caller.with_token(self.port, f"{self.prefix}/{path}/tracking", token)

    def everywhere(self, token: str) -> Caller:
        """Return who asks in the view of everything."""
        return Caller.with_token(self.port, self.prefix, token)


@contextmanager
def front_of(
    folder: Path, hub: SharingHub, server: MLflow, prefix: str, **settings: str
) -> Iterator[Front]:
    """Run an edge and an Envoy before MLflow."""
    given = {
        "PUBLIC_URL": f"https://sharinghub.example.org{prefix}",
        "GRANT_KEY": GRANT_KEY.get_secret_value(),
        **settings,
    }
    url = f"http://127.0.0.1:{server.port}"
    with (
        edge(folder, sharinghub_url=hub.url, mlflow_url=url, settings=given) as authorizer,
        proxy(folder, authorizer, server, prefix=prefix) as envoy,
    ):
        yield Front(envoy.port, prefix)


@pytest.mark.parametrize("prefix", ["", "/mlflow"])
class TestWithSharingHub:
    @pytest.fixture
    def front(
        self, tmp_path: Path, hub: SharingHub, server: MLflow, prefix: str
    ) -> Iterator[Front]:
        with front_of(tmp_path, hub, server, prefix) as running:
            yield running

    def test_a_users_token_shows_the_models_that_he_may_see(
        self, front: Front, hub: SharingHub, ours: Held, public: Held
    ) -> None:
        ann, stranger = hub.token("ann"), hub.token("bob")
        assert viewed(front.project("acme/vision", ann)) == ours.shown
        assert viewed(front.everywhere(ann)) == ours.shown | public.shown
        assert viewed(front.project("acme/open", stranger)) == public.shown
        assert viewed(front.everywhere(stranger)) == public.shown
        for caller in (front.project("acme/vision", stranger), front.project("acme/no", stranger)):
            assert both(caller, ours.run) == [404, 404]
        for caller in (front.project("acme/open", stranger), front.everywhere(stranger)):
            assert file(caller, ours.run).status == 404

    def test_an_empty_bearer_is_nobody_without_a_default_token(
        self, front: Front, hub: SharingHub, ours: Held, public: Held
    ) -> None:
        """Threat 43."""
        for token in EMPTY:
            for path, has in (("acme/vision", ours), ("acme/open", public)):
                assert both(front.project(path, token), has.run) == [401, 401]
            assert both(front.everywhere(token), public.run) == [401, 401]
        assert hub.calls("/api/check/") == []


class TestWithADefaultToken:
    @pytest.fixture
    def front(self, tmp_path: Path, hub: SharingHub, server: MLflow) -> Iterator[Front]:
        hub.anonymous(default_token=hub.token("robot"))
        settings = {"SHARINGHUB_AUTH_DEFAULT_TOKEN": "true"}
        with front_of(tmp_path, hub, server, "", **settings) as running:
            yield running

    def test_visitors_are_shown_what_the_robot_may_see(
        self, front: Front, ours: Held, public: Held
    ) -> None:
        """Threats 65 and 66."""
        for token in EMPTY:
            visitor = front.project("acme/vision", token)
            assert viewed(visitor) == ours.shown
            assert viewed(front.everywhere(token)) == ours.shown | public.shown
            assert visitor.call("POST registered-models/create", name="theirs").status == 403
            assert file(front.project("acme/open", token), ours.run).status == 404

    def test_a_bad_token_is_no_visitor(self, front: Front, ours: Held) -> None:
        """Threat 66."""
        for caller in (front.project("acme/vision", "glpat-x"), front.everywhere("glpat-x")):
            assert both(caller, ours.run) == [401, 401]

    def test_the_default_token_itself_is_a_token(
        self, front: Front, hub: SharingHub, ours: Held
    ) -> None:
        robot = hub.token("robot")
        hub.anonymous(default_token=robot)
        assert viewed(front.project("acme/vision", robot)) == ours.shown

    def test_in_public_mode_visitors_are_shown_what_is_public(
        self, front: Front, hub: SharingHub, ours: Held, public: Held
    ) -> None:
        hub.anonymous(public=True)
        visitor = front.everywhere("")
        assert viewed(front.project("acme/open", "")) == viewed(visitor) == public.shown
        assert both(front.project("acme/vision", ""), ours.run) == [404, 404]
        assert file(visitor, ours.run).status == 404

    def test_a_page_full_of_projects_at_once_costs_one_question_each(
        self, front: Front, hub: SharingHub, ours: Held, public: Held
    ) -> None:
        """SharingHub gathers what is on a page side by side, and anew for whoever looks at it."""
        ann = hub.token("ann")
        asked = [
            (front.project(path, token), has.shown)
            for path, has in (("acme/vision", ours), ("acme/open", public))
            for token in (ann, "")
        ] * 5
        with ThreadPoolExecutor(len(asked)) as pool:
            found = list(pool.map(lambda each: viewed(each[0]), asked))
        assert found == [shown for _, shown in asked]
        assert len(hub.calls("/api/check/")) == 4
