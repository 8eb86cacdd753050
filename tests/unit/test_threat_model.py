"""THREAT_MODEL.md and the tests know each other: no test is named that is not there, and no threat
is mentioned that is not described."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "THREAT_MODEL.md").read_text()
# The list that the tests were made from; what came later follows it.
FIRST_LIST = range(1, 130)
ROWS = re.findall(r'^\| <a id="t(\d+)"></a>(\d+) \| (.+) \| (.+) \| (.+) \|$', MODEL, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)::(\w+)`", MODEL)))
MODULES = sorted(set(re.findall(r"`((?:edge|plugin|local|migrate)/\w+\.py|\w+\.py)`", MODEL)))
_NUMBERS = re.compile(r"[0-9]+(?:(?:, | and | to |; )[0-9]+)*")
_MENTIONED = (
    re.compile(rf"\b[Tt]hreats? ({_NUMBERS.pattern})\b"),
    re.compile(rf"\b[Rr]ows? ({_NUMBERS.pattern}) of the threats"),
)


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests in a module, those of classes included."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


def mentioned() -> Iterator[int]:
    """Yield the numbers of threats that tests mention."""
    for module in sorted((ROOT / "tests").rglob("*.py")):
        if module == Path(__file__):
            continue
        text = module.read_text()
        for numbers in (found for pattern in _MENTIONED for found in pattern.findall(text)):
            for first, last in re.findall(r"([0-9]+)(?: to ([0-9]+))?", numbers):
                yield from range(int(first), int(last or first) + 1)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_the_model_names_is_there(path: str, name: str) -> None:
    assert name in names_in(path)


def test_each_threat_that_tests_mention_is_described_and_once() -> None:
    described = [int(number) for number, _, _, _, _ in ROWS]
    assert described == sorted(set(described))
    numbers = set(mentioned())
    assert len(numbers) > 100
    assert numbers <= set(described)
    assert set(FIRST_LIST) <= set(described)


def test_each_threat_has_its_anchor_and_a_test() -> None:
    for anchor, number, attack, defence, tests in ROWS:
        assert anchor == number
        assert attack.strip()
        assert defence.strip()
        assert "::test_" in tests, number
    assert len(ROWS) == len(re.findall(r"^\| <a id=", MODEL, re.MULTILINE))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_the_model_names_is_there(module: str) -> None:
    assert (ROOT / "extauthz" / module).is_file()


def test_links_within_the_model_lead_somewhere() -> None:
    titles = re.findall(r"^## (.+)$", MODEL, re.MULTILINE)
    known = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    known |= {f"t{number}" for number, *_ in ROWS}
    assert set(re.findall(r"\]\(#([^)]+)\)", MODEL)) <= known
