"""What a project evaluates with: a dataset, a scorer, an issue, questions for reviewers."""

import json
from dataclasses import dataclass
from typing import Any

from extauthz.grant import Grant
from tests.plugin.world_traces import new_trace, trace_info
from tests.servers.mlflow import MLflow

API = "/api/3.0/mlflow"
REGISTRY = "/api/2.0/mlflow"
SCORER = "kind"
PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The ids of what a project evaluates with.

    The dataset belongs to `experiment`, a second one of the project. Of two traces, `reviewed` is
    in the queue and `waiting` is not.
    """

    experiment: str = ""
    dataset: str = ""
    record: str = ""
    issue: str = ""
    schema: str = ""
    queue: str = ""
    reviewed: str = ""
    waiting: str = ""

    @property
    def marks(self) -> tuple[str, ...]:
        """What must never be seen outside of the project."""
        ids = (self.dataset, self.record, self.issue, self.schema, self.queue)
        return *ids, self.reviewed, self.waiting


def evaluate(server: MLflow, grant: Grant, experiment: str, run: str) -> Evaluated:
    """Fill a project; `experiment` is the one that the run is in."""
    number = grant.project_id
    secret, own = f"secret-{number}", f"only-{number}"

    def ask(method: str, path: str, body: object = None) -> Any:
        answer = server.ask(method, path, grant, body)
        assert answer.status == 200, answer.body
        return answer.json

    by_name = f"{REGISTRY}/experiments/get-by-name?experiment_name={own}"
    other = ask("GET", by_name)["experiment"]["experiment_id"]
    reviewed, waiting = (started(server, grant, experiment) for _ in range(2))
    dataset = ask(
        "POST",
        f"{API}/datasets/create",
        {"name": own, "experiment_ids": [other], "tags": json.dumps({"secret": secret})},
    )["dataset"]["dataset_id"]
    records = f"{API}/datasets/{dataset}/records"
    ask("POST", records, {"records": json.dumps([record(secret, reviewed)])})
    (written,) = json.loads(ask("GET", records)["records"])
    ask("POST", f"{API}/scorers/register", scorer(experiment, secret))
    issue = {"experiment_id": experiment, "name": own, "description": secret, "source_run_id": run}
    schema = ask("POST", f"{API}/label-schemas/create", label_schema(experiment, own, secret))
    schema_id = schema["label_schema"]["schema_id"]
    # MLflow adds a question of its own when they are first listed.
    ask("GET", f"{API}/label-schemas/list?experiment_id={experiment}")
    questions = {"queue_type": "CUSTOM", "users": [own], "schema_ids": [schema_id]}
    queue = ask(
        "POST",
        f"{API}/review-queues/create",
        {"experiment_id": experiment, "name": own, **questions},
    )["review_queue"]["queue_id"]
    ask("POST", f"{API}/review-queues/items/add", {"queue_id": queue, "item_ids": [reviewed]})
    prompt = f"prompt-{number}"
    ask("POST", f"{REGISTRY}/registered-models/create", {"name": prompt, "tags": PROMPT})
    text = [*PROMPT, {"key": "mlflow.prompt.text", "value": secret}]
    version = {"name": prompt, "source": "dummy-source", "tags": text}
    ask("POST", f"{REGISTRY}/model-versions/create", version)
    alias = {"name": prompt, "alias": "latest-good", "version": "1"}
    ask("POST", f"{REGISTRY}/registered-models/alias", alias)
    return Evaluated(
        experiment=other,
        dataset=dataset,
        record=written["dataset_record_id"],
        issue=ask("POST", f"{API}/issues", issue)["issue"]["issue_id"],
        schema=schema_id,
        queue=queue,
        reviewed=reviewed,
        waiting=waiting,
    )


def record(text: str, trace_id: str) -> dict[str, object]:
    """Return a record of a dataset, as clients make one of a trace."""
    source = {"source_type": "TRACE", "source_data": {"trace_id": trace_id}}
    return {"inputs": {"question": text}, "expectations": {"answer": text}, "source": source}


def scorer(experiment: str, text: str) -> dict[str, object]:
    """Return a scorer to register, in short what MLflow's clients send for a guideline."""
    data = {"name": SCORER, "guidelines": text, "model": "openai:/gpt-4o"}
    serialized = {
        "name": SCORER,
        "builtin_scorer_class": "Guidelines",
        "builtin_scorer_pydantic_data": data,
    }
    return {
        "experiment_id": experiment,
        "name": SCORER,
        "serialized_scorer": json.dumps(serialized),
    }


def label_schema(experiment: str, name: str, text: str = "") -> dict[str, object]:
    """Return a label schema to create."""
    kind = {"type": "FEEDBACK", "input": {"text": {"max_length": 100}}}
    return {"experiment_id": experiment, "name": name, "instruction": text, **kind}


def started(server: MLflow, grant: Grant, experiment: str) -> str:
    """Start a trace, and return its id."""
    trace_id = new_trace()
    answer = server.ask("POST", f"{API}/traces", grant, trace_info(experiment, trace_id))
    assert answer.status == 200, answer.body
    return trace_id
