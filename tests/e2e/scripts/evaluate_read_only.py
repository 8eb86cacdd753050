"""A reader's look at what a developer evaluates with; prints it, and how each write ended.

Takes a dataset, a review queue and a trace.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.genai import datasets, label_schemas, review_queues
from mlflow.genai.label_schemas import InputText
from mlflow.genai.scorers import Guidelines, delete_scorer, get_scorer, list_scorers

DATASET, QUEUE, TRACE = sys.argv[1:]


def read() -> dict[str, Any]:
    dataset = datasets.get_dataset(dataset_id=DATASET)
    loaded = mlflow.genai.load_prompt("prompts:/greeting@kind")
    return {
        "datasets": [each.name for each in datasets.search_datasets()],
        "dataset_tags": dataset.tags,
        "left": len(dataset.to_df()),
        "scorers": [scorer.name for scorer in list_scorers()],
        "guidelines": get_scorer(name="kind").guidelines,
        "schemas": sorted(each.name for each in label_schemas.list_label_schemas()),
        "queues": sorted(each.name for each in review_queues.list_review_queues()),
        "waiting": [item.item_id == TRACE for item in review_queues.list_review_queue_items(QUEUE)],
        "greeting": loaded.format(name="Ann"),
        "prompts": [prompt.name for prompt in mlflow.genai.search_prompts()],
    }


def writes() -> Iterator[tuple[str, Callable[[], object]]]:
    dataset = datasets.get_dataset(dataset_id=DATASET)
    scorer = Guidelines(name="forbidden", guidelines="x", model="openai:/gpt-4o")
    yield "create a dataset", lambda: datasets.create_dataset("forbidden")
    yield "add records", lambda: dataset.merge_records([{"inputs": {"question": "forbidden"}}])
    yield "delete records", lambda: dataset.delete_records(["dr-x"])
    yield "tag a dataset", lambda: datasets.set_dataset_tags(DATASET, {"a": "b"})
    yield "delete a dataset", lambda: datasets.delete_dataset(dataset_id=DATASET)
    yield "register a scorer", scorer.register
    yield "delete a scorer", lambda: delete_scorer(name="kind", version="all")
    yield (
        "create a label schema",
        lambda: label_schemas.create_label_schema("x", type="feedback", input=InputText()),
    )
    yield "create a queue", lambda: review_queues.create_review_queue("x", queue_type="custom")
    yield "make a queue of one's own", lambda: review_queues.get_or_create_user_queue("ann")
    yield (
        "review",
        lambda: review_queues.set_review_queue_item_status(
            QUEUE, item_id=TRACE, status="declined", completed_by="ann"
        ),
    )
    yield "delete a queue", lambda: review_queues.delete_review_queue(QUEUE)
    yield "register a prompt", lambda: mlflow.genai.register_prompt("greeting", "Hey")
    yield "set an alias", lambda: mlflow.genai.set_prompt_alias("greeting", "kind", 2)


def outcome(write: Callable[[], object]) -> list[Any]:
    """Return the status and the text that the client shows."""
    try:
        write()
    except MlflowException as error:
        return [error.get_http_status_code(), str(error)]
    return [200, "it was written"]


def main() -> None:
    mlflow.set_experiment("questions")
    tried = {name: outcome(do) for name, do in writes()}
    json.dump({"read": read(), "writes": tried}, sys.stdout)


main()
