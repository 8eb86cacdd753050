"""Every snippet of YAML and of settings does what its page says."""

import re
from io import StringIO
from typing import Any, Final

import pytest
import yaml
from dotenv import dotenv_values

from extauthz.edge.settings import Settings
from scripts.chart_readme import values
from tests.chart.chart import CHART, render
from tests.chart.test_examples import example
from tests.docs.guide import PAGES, ROOT, Block, blocks, code_in

VALUES: Final = {value.name for value in values((CHART / "values.yaml").read_text())}
TOPS: Final = {path.partition(".")[0] for path in VALUES}
PLACES: Final = {"publicUrl": "https://mlflow.example.com"}
PROVIDER: Final = {"gitlabUrl": "https://gitlab.example.com"}
# The names that mlflow-sharinghub's chart has.
ALIASES: Final = {
    "mlflowSharinghub.backendStoreUriSecret",
    "mlflowSharinghub.artifactsDestination",
}
# In the log, and not in the chart.
EVENTS: Final = {"edge.started", "edge.draining", "edge.stopped"}
# Not about Kubernetes.
OTHERS: Final = {"train"}


def snippets() -> list[tuple[Block, dict[str, Any]]]:
    return [(block, yaml.safe_load(block.text)) for block in blocks("yaml")]


def release_values() -> list[tuple[str, dict[str, Any]]]:
    return [(block.page, parsed) for block, parsed in snippets() if parsed.keys() <= TOPS]


@pytest.mark.parametrize(("page", "given"), release_values(), ids=str)
def test_every_values_file_renders(page: str, given: dict[str, Any]) -> None:
    provider = {} if "sharinghubUrl" in given else PROVIDER
    places = {} if "ingress" in given else PLACES
    assert render({**provider, **places, **given}).manifests


def test_every_snippet_is_of_a_kind_that_is_tested() -> None:
    kinds = [
        parsed.keys() <= TOPS or parsed.keys() & {"apiVersion", "meshConfig", *OTHERS}
        for _, parsed in snippets()
    ]
    assert all(kinds)


def test_manifests_are_those_of_the_whole_examples() -> None:
    shown = [parsed for _, parsed in snippets() if "apiVersion" in parsed]
    assert shown
    assert all(manifest in example("envoy-gateway") for manifest in shown)


def test_the_mesh_is_told_what_the_notes_of_the_release_say() -> None:
    (mesh,) = [parsed["meshConfig"] for _, parsed in snippets() if "meshConfig" in parsed]
    given = next(given for page, given in release_values() if page == "istio.md")
    notes = render(given, name="mlflow", namespace="mlflow").notes
    _, _, printed = notes.partition("In MeshConfig:\n")
    assert yaml.safe_load(printed.partition("\nUntil then")[0]) == mesh


def test_every_value_that_a_sentence_names_is_one_of_the_charts() -> None:
    codes = [re.split("[:=]", code)[0] for page in PAGES for code in code_in(page)]
    named = {
        code
        for code in codes
        if code.partition(".")[0] in TOPS and re.fullmatch(r"\w+(\.\w+)+", code)
    }
    known = VALUES | {path.rpartition(".")[0] for path in VALUES} | ALIASES | EVENTS
    assert {each for each in named - known if not each.endswith(".yaml")} == set()


@pytest.mark.parametrize(
    "block", [block for block in blocks("") if "_URL=" in block.text], ids=lambda block: block.page
)
def test_every_file_of_settings_is_taken(block: Block) -> None:
    given = {
        name: value or "" for name, value in dotenv_values(stream=StringIO(block.text)).items()
    }
    assert Settings.load(given).provider_url


def test_the_application_is_made_with_what_the_edge_asks_for() -> None:
    page = (ROOT / "docs" / "gitlab.md").read_text()
    assert f"`{Settings.model_fields['gitlab_oauth_scopes'].default}`" in page
    assert "https://mlflow.<domain>/auth/authorize" in page
    assert "http://localhost:5000/auth/authorize" in page
