"""A whole site, each part of which can be taken away: two edges behind one Envoy."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from tests.chaos.account import Kind
from tests.chaos.crowd import Client, Crowd
from tests.chaos.ground import Town
from tests.chaos.part import Held, Part
from tests.chaos.parts import Front, Replica, database, redis, tracking
from tests.ci_jobs import AUDIENCE, minted, service_token
from tests.gitlab import DEVELOPER, GitLab
from tests.polling import eventually
from tests.servers.edge import INSTANCE, SECRET_KEY, Edge
from tests.servers.mlflow import MLflow
from tests.servers.ports import free_port
from tests.servers.stack import Proxy, Stack
from tests.signing_in import in_session_of
from tests.visitor import Visitor

FIRST_KEY = "the first grant key of tests, long enough"


@dataclass(frozen=True, slots=True)
class Site:
    """The parts, and the GitLab they ask."""

    gitlab: GitLab
    database: Part
    redis: Part
    mlflow: Part
    edges: tuple[Replica, Replica]
    envoy: Front
    stack: Stack

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that runs, in the order in which it is started."""
        edges = (each.part for each in self.edges)
        return (self.database, self.redis, self.mlflow, *edges, self.envoy.part)

    def mend(self) -> None:
        """End what holds up a part, and wait until all of them take part."""
        for part in self.parts:
            part.thaw()
        self.gitlab.heal()
        self.is_whole()

    def is_whole(self) -> None:
        """Wait until Envoy would ask each edge."""
        eventually(self.envoy.healthy, len(self.edges), wait=60)


@dataclass(frozen=True, slots=True)
class Everybody:
    """People of every kind before a site."""

    site: Site
    town: Town
    visitor: Visitor

    @classmethod
    def of(cls, site: Site) -> "Everybody":
        """Give them their places."""
        town = Town.of(site.stack)
        visitor = Visitor(site.stack, town.ours.member(DEVELOPER))
        visitor.open(visitor.sign_in(visitor.begin()))
        return cls(site, town, visitor)

    @contextmanager
    def during(self) -> Iterator[Crowd]:
        """Let all of them ask during an event, which leaves nothing behind in the parts."""
        site, before = self.site, [each.holds() for each in self.site.parts]
        with self.town.ground.event(*self._clients(), mend=site.mend) as crowd:
            yield crowd
        for part, held in zip(site.parts, before, strict=True):
            eventually(partial(_has_not_grown, part, held), wanted=True)

    def _clients(self) -> list[Client]:
        ground, ours = self.town.ground, self.town.ours
        job = ours.caller(minted(ours, ours.member(DEVELOPER)))
        return [
            *self.town.holders_of_tokens(),
            ground.client(Kind.SESSION, in_session_of(self.visitor, job.prefix)),
            ground.client(Kind.JOB, job),
        ]


def _has_not_grown(part: Part, before: Held) -> bool:
    return part.holds().is_not_more_than(before)


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Run everything until the block ends."""
    with ExitStack() as stack:
        gitlab = stack.enter_context(GitLab.start())
        # Not below pytest's folder, into which only its own user may look.
        data = Path(stack.enter_context(TemporaryDirectory(prefix="chaos-")))
        data.chmod(0o755)
        rows, server = database(data / "postgres")
        start(stack, rows)
        sessions, port, mlflow_port = free_port(), free_port(), free_port()
        store = server.create("mlflow")
        kept = redis(folder / "redis", sessions)
        mlflow = tracking(folder / "mlflow", mlflow_port, store, SecretStr(FIRST_KEY))
        public_url = f"http://127.0.0.1:{port}"
        client, secret = gitlab.create_application([f"{public_url}/auth/authorize"])
        settings = {
            "GITLAB_URL": gitlab.url,
            "MLFLOW_URL": f"http://127.0.0.1:{mlflow_port}",
            "PUBLIC_URL": public_url,
            "SECRET_KEY": SECRET_KEY,
            "GRANT_KEY": FIRST_KEY,
            "INSTANCE_ID": INSTANCE,
            "SESSION_STORE_URL": f"redis://127.0.0.1:{sessions}/0",
            "GITLAB_OAUTH_CLIENT_ID": client,
            "GITLAB_OAUTH_CLIENT_SECRET": secret,
            "CI_AUDIENCE": AUDIENCE,
            "GITLAB_SERVICE_TOKEN": service_token(gitlab),
            # Events are to be felt, not slept through.
            "PROJECT_CACHE_TIMEOUT": "1",
        }
        edges = Replica.of(folder / "one", settings), Replica.of(folder / "two", settings)
        envoy = Front.of(folder / "envoy", port, edges, mlflow_port)
        for part in (kept, mlflow, *(each.part for each in edges), envoy.part):
            start(stack, part)
        whole = Stack(
            gitlab,
            MLflow(mlflow_port, mlflow.folder, mlflow.log),
            Edge(edges[0].check, edges[0].pages, 0, 0, edges[0].part.log),
            Proxy(port, 0, envoy.part.log),
            public_url,
        )
        running = Site(gitlab, rows, kept, mlflow, edges, envoy, whole)
        running.is_whole()
        yield running


def start(stack: ExitStack, part: Part) -> None:
    """Run a part until the stack unwinds."""
    # Nobody is there any more for whom it would have to end in order.
    stack.callback(part.kill)
    part.start()
