"""What a developer evaluates with: datasets, scorers, label schemas, review queues, and prompts."""

import json
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.genai import datasets, label_schemas, review_queues
from mlflow.genai.label_schemas import InputText
from mlflow.genai.scorers import Guidelines, delete_scorer, get_scorer, list_scorers

EXPERIMENT, OTHER = "questions", "more questions"


def trace_a_question() -> str:
    with mlflow.start_span("answer") as span:
        span.set_inputs({"question": "why"})
        span.set_outputs({"answer": "because"})
    mlflow.flush_trace_async_logging()
    return str(span.trace_id)


def use_datasets(experiment: str, other: str, trace_id: str) -> dict[str, Any]:
    made = datasets.create_dataset("questions", experiment_id=experiment, tags={"colour": "red"})
    made.merge_records([{"inputs": {"question": "who"}, "expectations": {"answer": "me"}}])
    made.merge_records([mlflow.get_trace(trace_id)])
    datasets.add_dataset_to_experiments(made.dataset_id, [experiment, other])
    datasets.set_dataset_tags(made.dataset_id, {"colour": "blue", "size": "small"})
    datasets.delete_dataset_tag(made.dataset_id, "size")
    found = datasets.get_dataset(dataset_id=made.dataset_id)
    records = found.to_df()
    added = sorted(found.experiment_ids) == sorted([experiment, other])
    datasets.remove_dataset_from_experiments(made.dataset_id, [other])
    removed = found.delete_records([records.dataset_record_id[0]])
    left = datasets.get_dataset(name="questions").to_df()
    gone = datasets.create_dataset("gone", experiment_id=[])
    datasets.delete_dataset(dataset_id=gone.dataset_id)
    return {
        "dataset_id": made.dataset_id,
        "datasets": [each.name for each in datasets.search_datasets(experiment_ids=[experiment])],
        "dataset_tags": found.tags,
        "added": added,
        "sources": sorted(records.source_type),
        "source_id": records.source_id[records.source_type == "TRACE"].item() == trace_id,
        "records": [len(records), removed, len(left)],
    }


def use_scorers() -> dict[str, Any]:
    for rule in ("Be kind", "Be brief"):
        Guidelines(name="kind", guidelines=rule, model="openai:/gpt-4o").register()
    Guidelines(name="gone", guidelines="Be gone", model="openai:/gpt-4o").register()
    delete_scorer(name="gone", version="all")
    return {
        "scorers": [scorer.name for scorer in list_scorers()],
        "guidelines": get_scorer(name="kind").guidelines,
        "first": get_scorer(name="kind", version=1).guidelines,
    }


def use_queues(trace_id: str) -> dict[str, Any]:
    schema = label_schemas.create_label_schema("polite", type="feedback", input=InputText())
    queue = review_queues.create_review_queue(
        "to read", queue_type="custom", users=["ann"], schema_ids=[schema.schema_id]
    )
    review_queues.add_items_to_review_queue(queue.queue_id, item_ids=[trace_id])
    done = review_queues.set_review_queue_item_status(
        queue.queue_id, item_id=trace_id, status="complete", completed_by="somebody else"
    )
    review_queues.get_or_create_user_queue("bob")
    items = review_queues.list_review_queue_items(queue.queue_id)
    return {
        "queue_id": queue.queue_id,
        "schemas": sorted(each.name for each in label_schemas.list_label_schemas()),
        "queues": sorted(each.name for each in review_queues.list_review_queues()),
        "items": [(item.item_id == trace_id, str(item.status)) for item in items],
        "owner": queue.created_by,
        "completed_by": done.completed_by,
    }


def use_prompts() -> dict[str, Any]:
    for text in ("Hello {{name}}", "Goodbye {{name}}"):
        version = mlflow.genai.register_prompt("greeting", text, tags={"tone": "warm"})
    mlflow.genai.set_prompt_alias("greeting", alias="kind", version=1)
    loaded = mlflow.genai.load_prompt("prompts:/greeting@kind")
    return {
        "prompt": [version.version, loaded.version, loaded.format(name="Ann")],
        "prompts": [prompt.name for prompt in mlflow.genai.search_prompts()],
        "models": [model.name for model in MlflowClient().search_registered_models()],
    }


def main() -> None:
    other = mlflow.create_experiment(OTHER)
    experiment = mlflow.set_experiment(EXPERIMENT).experiment_id
    trace_id = trace_a_question()
    used = use_datasets(experiment, other, trace_id) | use_scorers() | use_queues(trace_id)
    json.dump({"trace_id": trace_id} | used | use_prompts(), sys.stdout)


main()
