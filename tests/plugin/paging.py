"""Searches that come in pages, over two projects whose rows were made in turn under equal names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any
from urllib.parse import urlencode

from tests.plugin.endpoints_traces import location
from tests.plugin.world import API
from tests.plugin.world_traces import API as V3
from tests.plugin.world_traces import new_trace, trace_info
from tests.servers.mlflow import MLflow, project

EACH, PAGE, WHOLE = 5, 2, 100
Ask = Callable[[str, str, object], tuple[int, Any]]


@dataclass(frozen=True, slots=True)
class Paged:
    """A project that holds five of each, all in one experiment and one run."""

    number: int
    experiment: str
    run: str


@dataclass(frozen=True, slots=True)
class Search:
    """A search: where its answer lists what, how to tell one from all others, what it is about."""

    what: str
    field: str
    mark: Callable[[Any], Any]
    about: Callable[[Paged], dict[str, object]] = lambda _: {}

    def page(self, ask: Ask, holds: Paged, token: str = "", size: int = PAGE) -> tuple[int, Any]:
        """Ask for a page; returns the status and the answer."""
        method, path = self.what.split(" ")
        fields = self.about(holds) | {"max_results": size, "page_token": token}
        if method == "GET":
            return ask(method, f"{path}?{urlencode(fields, doseq=True)}", None)
        return ask(method, path, fields)

    def found(self, answer: Any) -> list[Any]:
        """Return the marks of what an answer lists."""
        return [self.mark(each) for each in answer.get(self.field, [])]

    def pages(self, ask: Ask, holds: Paged) -> Iterator[tuple[list[Any], str]]:
        """Yield what is on each page, and the token of the next one."""
        token = ""
        while True:
            status, answer = self.page(ask, holds, token)
            assert status == 200, (self.what, answer)
            token = answer.get("next_page_token", "")
            yield self.found(answer), token
            if not token:
                return

    def __str__(self) -> str:
        return self.what


def _of_experiment(holds: Paged) -> dict[str, object]:
    return {"experiment_ids": [holds.experiment]}


def _of_run(holds: Paged) -> dict[str, object]:
    return {"run_id": holds.run, "metric_key": "loss"}


def _of_location(holds: Paged) -> dict[str, object]:
    return {"locations": [location(holds.experiment)]}


_info, _text = itemgetter("info"), itemgetter("description")
EVERYWHERE = (
    Search(f"POST {API}/experiments/search", "experiments", itemgetter("experiment_id")),
    Search(f"GET {API}/experiments/search", "experiments", itemgetter("experiment_id")),
    Search(f"POST {API}/runs/search", "runs", lambda each: _info(each)["run_id"], _of_experiment),
    Search(
        f"POST {API}/logged-models/search",
        "models",
        lambda each: _info(each)["model_id"],
        _of_experiment,
    ),
    Search(f"GET {API}/registered-models/search", "registered_models", _text),
    Search(f"GET {API}/model-versions/search", "model_versions", _text),
    Search(f"GET {API}/traces", "traces", itemgetter("request_id"), _of_experiment),
    Search(f"POST {V3}/traces/search", "traces", itemgetter("trace_id"), _of_location),
    Search(f"GET {API}/metrics/get-history", "metrics", itemgetter("value"), _of_run),
)
SEARCHES = (
    *EVERYWHERE,
    Search(f"GET {V3}/datasets/search", "datasets", itemgetter("dataset_id")),
)


def held(search: Search, ask: Ask, holds: Paged) -> list[Any]:
    """Hold that pages are full and end where one large page does; returns what is on that."""
    status, answer = search.page(ask, holds, size=WHOLE)
    assert (status, len(search.found(answer))) == (200, EACH), (str(search), answer)
    pages = [found for found, _ in search.pages(ask, holds)]
    assert search.found(answer) == [*chain(*pages)]
    assert [len(found) for found in pages] == [PAGE, PAGE, EACH - 2 * PAGE]
    return search.found(answer)


def turned(search: Search, ask: Ask, theirs: Ask, *pair: Paged) -> list[Any]:
    """Return what one finds with the tokens of another's pages, about either's rows."""
    found = []
    for _, token in search.pages(theirs, pair[-1]):
        for about in pair:
            status, answer = search.page(ask, about, token)
            assert status in (200, 400, 403, 404), (str(search), answer)
            found += search.found(answer)
    return found


def filled(server: MLflow, *numbers: int) -> list[Paged]:
    """Fill projects in turn, so that the rows of each are among those of the others."""
    made = [_begun(server, number) for number in numbers]
    for place in range(1, EACH):
        for holds in made:
            _create(server, holds.number, "experiments/create", name=f"page-{place}")
    for place in range(EACH):
        for holds in made:
            _add(server, holds, place)
    return made


def _begun(server: MLflow, number: int) -> Paged:
    experiment = _create(server, number, "experiments/create", name="page-0")["experiment_id"]
    run = _create(server, number, "runs/create", experiment_id=experiment)["run"]["info"]
    return Paged(number, experiment, run["run_id"])


def _add(server: MLflow, holds: Paged, place: int) -> None:
    name, number = f"page-{place}", holds.number
    own = {"name": name, "description": f"{number}-{place}"}
    value = float(number * EACH + place)
    model = _create(server, number, "logged-models", experiment_id=holds.experiment)["model"]
    _create(server, number, "registered-models/create", **own)
    # Of no run.
    origin = {"source": f"models:/{_info(model)['model_id']}", "model_id": _info(model)["model_id"]}
    _create(server, number, "model-versions/create", **own, **origin)
    _create(
        *(server, number, "runs/log-metric"),
        run_id=holds.run,
        key="loss",
        value=value,
        timestamp=place,
    )
    if place:
        _create(server, number, "runs/create", experiment_id=holds.experiment)
    _create(server, number, "datasets/create", V3, name=name)
    _create(server, number, "traces", V3, **trace_info(holds.experiment, new_trace()))


def _create(server: MLflow, number: int, path: str, root: str = API, **body: object) -> Any:
    answer = server.ask("POST", f"{root}/{path}", project(number), body)
    assert answer.status == 200, (path, answer.body)
    return answer.json
