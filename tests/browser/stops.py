"""The pages of MLflow over what a project holds."""

import json
from collections.abc import Iterator
from urllib.parse import quote

from tests.browser.furnished import Furnished
from tests.browser.walk import Stop


def heading(name: str) -> str:
    """Return what selects a heading."""
    return f'role=heading[name="{name}"]'


def link(name: str) -> str:
    """Return what selects a link."""
    return f'role=link[name="{name}"]'


def text(content: str) -> str:
    """Return what selects a text."""
    return f"text={content}"


def stops(there: Furnished) -> Iterator[Stop]:
    """Yield every page that both a project and everything together have."""
    holds, second = there.holds, f"second-{there.holds.number}"
    secret, own, prompt = f"secret-{holds.number}", holds.own, holds.prompt
    experiment = f"/experiments/{holds.experiment}"
    run, model = f"{experiment}/runs/{holds.run}", f"{experiment}/models/{holds.model}"
    traces = f"{experiment}/traces?startTimeLabel=ALL"
    yield Stop("home", "/", (heading("Welcome to MLflow"), link(own)))
    yield Stop("experiments", "/experiments", (heading("Experiments"), link(own)))
    yield Stop("runs", f"{experiment}/runs", (heading("Training runs"), link(second)))
    charts = f"{experiment}/runs?compareRunsMode=CHART"
    yield Stop("charts", charts, (heading("loss"),))
    yield Stop("run", run, (text(holds.run), text("depth"), text(secret), link("loss")))
    yield Stop("metrics", f"{run}/model-metrics", (heading("loss"),))
    file = f"{run}/artifacts/data.txt"
    yield Stop("file", file, (text("artifacts/data.txt"), text(secret), text("picture.png")))
    both = quote(json.dumps([holds.run, there.second]))
    compared = f"/compare-runs?runs={both}&experiments={quote(json.dumps([holds.experiment]))}"
    title = heading("Comparing 2 Runs from 1 Experiment")
    yield Stop("comparison", compared, (title, link(there.second)))
    yield Stop("traces", traces, (heading("Traces"), text(secret)))
    one = f"{traces}&selectedEvaluationId={holds.traced.trace}"
    yield Stop("trace", one, (text("Attributes"), text("step"), text(secret)))
    yield Stop("logged models", f"{experiment}/models", (heading("Agent versions"), link("churn")))
    yield Stop("logged model", model, (text(holds.model), text("Ready")))
    yield Stop("its files", f"{model}/artifacts", (text("MLmodel"), text("model.txt")))
    yield Stop("models", "/models", (heading("Registered Models"), link(own)))
    yield Stop("model", f"/models/{own}", (heading(own), link("Version 2"), text("champion")))
    version = f"/models/{own}/versions/2"
    yield Stop("version", version, (heading("Version 2"), text("Inputs (1)")))
    yield Stop("prompts", "/prompts", (heading("Prompts"), link(prompt)))
    yield Stop("prompt", f"/prompts/{prompt}", (heading(prompt), text(secret)))
    evaluated = f"{experiment}/evaluation-runs"
    yield Stop("evaluation runs", evaluated, (heading("Evaluation runs"), text(second)))
    yield Stop("overview", f"{experiment}/overview/usage", (heading("Overview"),))
    yield Stop("settings", "/settings/general", (heading("General"), text("Theme preference")))


def evaluation(there: Furnished) -> Iterator[Stop]:
    """Yield the pages that a project alone has."""
    evaluated, own = there.holds.evaluated, there.holds.own
    datasets = f"/experiments/{evaluated.experiment}/datasets"
    queues = f"/experiments/{there.holds.experiment}/review-queue"
    yield Stop("datasets", datasets, (heading("Datasets"), text(own)))
    dataset = f"{datasets}/{evaluated.dataset}"
    yield Stop("dataset", dataset, (text(f"Dataset ID: {evaluated.dataset}"), text("1 record")))
    yield Stop("review", queues, (heading("Review"), text(own)))
