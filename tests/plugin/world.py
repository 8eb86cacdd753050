"""A project with one of everything, under names that every project uses."""

from dataclasses import dataclass, field, replace

from extauthz.grant import Grant
from tests.plugin.world_evaluation import Evaluated, evaluate
from tests.plugin.world_traces import Traced, trace
from tests.servers.mlflow import MLflow, project

API = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, slots=True)
class World:
    """The ids of what a project holds. `own` is a name that no other project uses."""

    number: int
    experiment: str
    run: str
    model: str
    evaluated: Evaluated = field(default_factory=Evaluated)
    traced: Traced = field(default_factory=Traced)

    @property
    def grant(self) -> Grant:
        """The grant of a developer."""
        return project(self.number)

    @property
    def own(self) -> str:
        """A name that is used in this project only."""
        return f"only-{self.number}"

    @property
    def prompt(self) -> str:
        """The name of a prompt."""
        return f"prompt-{self.number}"

    @property
    def files(self) -> str:
        """The artifact root of the run, as clients of the proxy write it."""
        return f"workspaces/p{self.number}/{self.experiment}/{self.run}/artifacts"

    @property
    def marks(self) -> tuple[str, ...]:
        """What must never be seen outside of the project."""
        secret = f"secret-{self.number}"
        return self.run, self.model, self.own, secret, *self.evaluated.marks, *self.traced.marks


def build(server: MLflow, number: int) -> World:
    """Fill a project."""

    def write(path: str, body: object) -> dict[str, dict[str, dict[str, str]]]:
        answer = server.ask("POST", f"{API}/{path}", project(number), body)
        assert answer.status == 200, answer.body
        return answer.json or {}

    secret = {"key": "secret", "value": f"secret-{number}"}
    created = server.ask(
        "POST", f"{API}/experiments/create", project(number), {"name": "churn", "tags": [secret]}
    )
    experiment = created.json["experiment_id"]
    write("experiments/create", {"name": f"only-{number}"})
    run = write("runs/create", {"experiment_id": experiment, "tags": [secret]})["run"]["info"]
    world = World(number, experiment, run["run_id"], "")
    logged = {
        "run_id": world.run,
        "metrics": [{"key": "loss", "value": 0.5, "timestamp": 1, "step": 1}],
        "params": [{"key": "depth", "value": f"secret-{number}"}],
        "tags": [{"key": "spare", "value": "1"}],
    }
    write("runs/log-batch", logged)
    dataset = {"name": f"only-{number}", "digest": "1", "source_type": "local", "source": "x"}
    write("runs/log-inputs", {"run_id": world.run, "datasets": [{"dataset": dataset}]})
    model = write(
        "logged-models",
        {
            "experiment_id": experiment,
            "name": "churn",
            "source_run_id": world.run,
            "tags": [secret],
        },
    )["model"]["info"]
    world = World(number, experiment, run["run_id"], model["model_id"])
    for path in (f"{world.files}/data.txt", f"{world.files}/more/data.txt", _file(world)):
        put = server.ask("PUT", f"{ARTIFACTS}/{path}", world.grant, f"secret-{number}".encode())
        assert put.status == 200, put.body
    for name in ("churn", world.own):
        write("registered-models/create", {"name": name, "tags": [secret]})
        source = {"name": name, "source": f"models:/{world.model}", "model_id": world.model}
        write("model-versions/create", {**source, "tags": [secret]})
        write("registered-models/alias", {"name": name, "alias": "champion", "version": "1"})
    evaluated = evaluate(server, world.grant, world.experiment, world.run)
    traced = trace(server, world.grant, world.experiment)
    return replace(world, evaluated=evaluated, traced=traced)


def _file(world: World) -> str:
    return f"workspaces/p{world.number}/{world.experiment}/models/{world.model}/artifacts/model.txt"
