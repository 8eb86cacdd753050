"""Whose a row is: of the project in which it was made, whatever tags, names and its state say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.plugin.world import API, World

Ask = Callable[[str, str, object], tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Developer:
    """A developer of one project, and what that project holds."""

    holds: World
    ask: Ask

    def post(self, path: str, **body: object) -> Any:
        """Return what a POST that must succeed answers."""
        status, answer = self.ask("POST", f"{API}/{path}", body)
        assert status == 200, (path, body, answer)
        return answer

    def get(self, path: str) -> Any:
        """Return what a GET answers, or its status where that is an error."""
        status, answer = self.ask("GET", f"{API}/{path}", None)
        return answer if status == 200 else status

    def refused(self, path: str, **body: object) -> tuple[int, str]:
        """Return status and code of a POST that must not succeed."""
        status, answer = self.ask("POST", f"{API}/{path}", body)
        return status, answer.get("error_code", "")

    @property
    def experiments(self) -> list[str]:
        """All experiments that the developer finds, deleted ones included."""
        found = self.post("experiments/search", max_results=100, view_type="ALL")
        return sorted(each["experiment_id"] for each in found["experiments"])

    @property
    def models(self) -> Any:
        """All registered models that the developer finds, with everything about them."""
        return self.get("registered-models/search?max_results=100")["registered_models"]


def a_tag_moves_nothing(ours: Developer, theirs: Developer) -> None:
    """Hold that tags that once said whose a row is say nothing: threat 93."""
    untouched = theirs.experiments, theirs.models
    for key in ("project", "mlflow.project", "workspace", "mlflow.workspace"):
        for value in (f"p{theirs.holds.number}", f"group/project-{theirs.holds.number}"):
            tag = {"key": key, "value": value}
            name = f"{key} {value}".replace("/", " ")
            made = ours.post("experiments/create", name=name, tags=[tag])["experiment_id"]
            ours.post("experiments/set-experiment-tag", experiment_id=made, **tag)
            ours.post("registered-models/create", name=name, tags=[tag])
            ours.post("registered-models/set-tag", name=name, **tag)
            ours.post("runs/create", experiment_id=made, tags=[tag])
            assert made in ours.experiments
            ours.post("experiments/delete-experiment-tag", experiment_id=made, key=key)
            assert made in ours.experiments
            assert name in [model["name"] for model in ours.models]
    assert (theirs.experiments, theirs.models) == untouched


def a_name_is_free_where_another_project_has_it(ours: Developer, theirs: Developer) -> None:
    """Hold that a name tells nothing of another project, and takes nothing from it: threat 95."""
    untouched = theirs.experiments, theirs.models
    for path in ("experiments/create", "registered-models/create"):
        ours.post(path, name=theirs.holds.own)
        for name in (theirs.holds.own, "churn"):
            assert ours.refused(path, name=name) == (400, "RESOURCE_ALREADY_EXISTS")
    assert (theirs.experiments, theirs.models) == untouched


def a_renamed_model_stays_where_it_is(ours: Developer, theirs: Developer) -> None:
    """Hold that no name makes a model another project's: threat 96."""
    untouched = theirs.models
    named = theirs.holds.own
    ours.post("registered-models/rename", name=ours.holds.own, new_name=named)
    ours.post("registered-models/alias", name=named, alias="best", version="1")
    found = ours.get(f"registered-models/get?name={named}")["registered_model"]
    assert found["latest_versions"][0]["source"] == f"models:/{ours.holds.model}"
    assert ours.get(f"registered-models/alias?name={named}&alias=best")
    assert theirs.get(f"registered-models/alias?name={named}&alias=best") in (400, 404)
    assert theirs.models == untouched


def what_is_deleted_and_restored_stays_where_it_is(ours: Developer, theirs: Developer) -> None:
    """Hold that nothing passes to another project by being deleted or restored: threat 108."""
    experiment, run = theirs.holds.experiment, theirs.holds.run
    own = ours.experiments
    searched = {"experiment_ids": [experiment], "run_view_type": "ALL"}
    for state in ("deleted", "active"):
        act = "delete" if state == "deleted" else "restore"
        theirs.post(f"runs/{act}", run_id=run)
        theirs.post(f"experiments/{act}", experiment_id=experiment)
        found = theirs.get(f"experiments/get?experiment_id={experiment}")["experiment"]
        assert found["lifecycle_stage"] == state
        assert ours.experiments == own
        assert ours.post("runs/search", **searched) == {}
        assert ours.get(f"experiments/get?experiment_id={experiment}") == 404
        assert ours.get(f"runs/get?run_id={run}") == 404
        for path, named in (
            ("experiments", {"experiment_id": experiment}),
            ("runs", {"run_id": run}),
        ):
            for other in ("delete", "restore"):
                assert ours.refused(f"{path}/{other}", **named)[0] == 404
    assert experiment in theirs.experiments


HELD = (
    a_tag_moves_nothing,
    a_name_is_free_where_another_project_has_it,
    a_renamed_model_stays_where_it_is,
    what_is_deleted_and_restored_stays_where_it_is,
)
