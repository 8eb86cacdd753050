"""The script that is added to MLflow's page, as text."""

import re
from importlib.util import find_spec
from pathlib import Path

from extauthz.plugin.page import script


def test_the_script_is_small_and_makes_nothing_of_text_but_text() -> None:
    text = script().decode("ascii")

    assert len(text) < 8 * 1024
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "Function("):
        assert word not in text
    # Nothing is asked for but the view, and nobody else is told anything.
    assert text.count("fetch(") == 1
    assert 'fetch("extauthz/v1/view"' in text
    assert "://" not in text


def test_the_installed_mlflow_has_what_the_script_sets_and_hides() -> None:
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    pages = Path(spec.origin).parent / "server" / "js" / "build" / "static" / "js"
    code = "".join(each.read_text() for each in pages.glob("*.js"))
    parts = re.findall(r'\[data-component-id[*$]?="([^"]+)"\]', script().decode())
    settings = re.findall(r'"(mlflow\.[^"]+)_v1":', script().decode())

    assert (len(parts), len(settings)) == (6, 4)
    assert [part for part in parts if part not in code] == []
    assert [name for name in settings if f'"{name}"' not in code] == []
    assert '"data-assistant-ui"' in code
