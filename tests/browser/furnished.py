"""A project with something for every page of MLflow to show."""

import base64
import json
from dataclasses import dataclass

from tests.plugin.world import API, ARTIFACTS, World, build
from tests.servers.mlflow import Answer, MLflow

# A square of one pixel.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_START = 1_767_225_600_000
_SCHEMA = {
    "inputs": [{"name": "tenure", "type": "double", "required": True}],
    "outputs": [{"name": "leaves", "type": "boolean", "required": True}],
}
# As MLflow's clients write the file, as far as its pages read it.
_MODEL = """artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
signature:
  inputs: '{inputs}'
  outputs: '{outputs}'
"""


@dataclass(frozen=True, slots=True)
class Furnished:
    """What a project holds, and another run of its experiment to compare with the first."""

    holds: World
    second: str

    @property
    def marks(self) -> tuple[str, ...]:
        """What must never be seen outside of the project."""
        return *self.holds.marks, self.second, self.holds.prompt


def furnish(server: MLflow, number: int) -> Furnished:
    """Fill a project: one of everything, two runs with a curve, two versions of a model."""
    holds = build(server, number)

    def write(method: str, path: str, body: object) -> Answer:
        answer = server.ask(method, path, holds.grant, body)
        assert answer.status == 200, answer.body
        return answer

    new = {"experiment_id": holds.experiment, "run_name": f"second-{number}", "start_time": _START}
    second = write("POST", f"{API}/runs/create", new).json["run"]["info"]["run_id"]
    for run in (holds.run, second):
        curve = [
            {"key": "loss", "value": 1 / step, "timestamp": _START + step, "step": step}
            for step in range(1, 6)
        ]
        write("POST", f"{API}/runs/log-batch", {"run_id": run, "metrics": curve})
        ended = {"run_id": run, "status": "FINISHED", "end_time": _START + 60_000}
        write("POST", f"{API}/runs/update", ended)
    write("POST", f"{API}/runs/log-parameter", {"run_id": second, "key": "depth", "value": "9"})
    model = f"workspaces/p{number}/{holds.experiment}/models/{holds.model}/artifacts"
    signature = {side: json.dumps(columns) for side, columns in _SCHEMA.items()}
    for path, content in (
        (f"{holds.files}/picture.png", PICTURE),
        (f"{model}/MLmodel", _MODEL.format(**signature).encode()),
    ):
        write("PUT", f"{ARTIFACTS}/{path}", content)
    write(
        "PATCH",
        f"{API}/logged-models/{holds.model}",
        {"model_id": holds.model, "status": "LOGGED_MODEL_READY"},
    )
    source = {"name": holds.own, "source": f"models:/{holds.model}", "model_id": holds.model}
    write("POST", f"{API}/model-versions/create", source)
    return Furnished(holds, second)
