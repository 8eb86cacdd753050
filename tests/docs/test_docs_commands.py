"""Every command that a page shows is one that the program takes, and every one is documented."""

import argparse
import re
import shlex
import subprocess
from typing import Final

import pytest

from extauthz.cli import _parser
from tests.chart.chart import Release, render
from tests.docs.guide import PAGES, ROOT, blocks, code_in, commands, names, prose, rows, section

REFERENCE: Final = ROOT / "docs" / "reference.md"
PARSER: Final = _parser()
HELM_VALUES: Final = {
    "gitlabUrl": "https://gitlab.example.com",
    "publicUrl": "https://mlflow.example.com",
    "ciAudience": "https://mlflow.example.com",
    "s3": {"enabled": True},
    "mlflow": {"artifactsDestination": "s3://bucket"},
}


def subparsers() -> dict[str, argparse.ArgumentParser]:
    (found,) = [
        action.choices
        for action in PARSER._actions
        if isinstance(action, argparse._SubParsersAction)
    ]
    assert isinstance(found, dict)
    return found


def shown() -> set[tuple[str, ...]]:
    """Return the arguments of each call of extauthz, in blocks and within sentences."""
    lines = [line for _, line in commands()]
    lines += [
        re.sub(r"<[^<>]+>", "x1", code)
        for page in PAGES
        for code in code_in(page)
        if code.startswith("extauthz ")
    ]
    found = set()
    for line in lines:
        words = [word for word in shlex.split(line, comments=True) if word != "&"]
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words and words[0].rpartition("/")[2] == "extauthz":
            found.add(tuple(words[1:]))
    return found


@pytest.mark.parametrize("arguments", sorted(shown()), ids=" ".join)
def test_every_command_line_is_taken(arguments: tuple[str, ...]) -> None:
    if {"--help", "--version"} & {*arguments}:
        with pytest.raises(SystemExit, match="0"):
            PARSER.parse_args(arguments)
    else:
        PARSER.parse_args(arguments)


def test_every_command_and_option_is_documented_and_there_are_no_others() -> None:
    documented = {
        heading: {
            flag
            for row in rows(section(REFERENCE, f"extauthz {heading}"))
            for flag in names(row[0])
        }
        for heading in re.findall(r"(?m)^### extauthz (.+)$", prose(REFERENCE))
    }
    taken = {
        name: {
            flag
            for action in parser._actions
            for flag in action.option_strings
            if flag not in ("-h", "--help")
        }
        for name, parser in subparsers().items()
    }
    assert documented == taken


def test_the_shell_can_read_every_block() -> None:
    script = "\n".join(block.text for block in blocks("bash", "console"))
    done = subprocess.run(
        ["bash", "-n"], input=script, text=True, capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_helm_is_given_a_chart_that_is_there() -> None:
    charts = [
        word
        for _, line in commands()
        if line.startswith("helm upgrade")
        for word in shlex.split(line)
        if word.startswith("./")
    ]
    assert charts
    assert all((ROOT / chart / "Chart.yaml").is_file() for chart in charts)
    assert not [line for _, line in commands() if line.startswith("helm") and "--set" in line]


@pytest.fixture(scope="module")
def release() -> Release:
    return render(
        {**HELM_VALUES, "postgresql": {"enabled": True}}, name="mlflow", namespace="mlflow"
    )


def read_keys(release: Release) -> set[str]:
    parts = [release.environment(part) for part in ("edge", "mlflow", "postgresql")]
    found = {value.strip("<>") for env in parts for value in env.values() if value.startswith("<")}
    # Either database, not both: the chart refuses that.
    return found | {"mlflow/backend-store-uri"}


def test_every_secret_that_one_makes_is_one_that_the_release_reads(release: Release) -> None:
    """A misspelt key shows only once the pods do not start."""
    made = {
        f"{words[4]}/{words[index + 1].partition('=')[0]}"
        for page, line in commands()
        if page == "deployment.md" and line.startswith("kubectl create secret generic")
        for words in [shlex.split(line)]
        for index, word in enumerate(words)
        if word == "--from-literal"
    }
    assert made <= read_keys(release)
    # That of CI jobs is in gitlab.md.
    assert read_keys(release) - made == {
        "mlflow-gitlab/service-token",
        "mlflow/secret-key-previous",
        "mlflow-grant/grant-key-previous",
    }


def test_every_deployment_that_one_restarts_is_one_of_the_release(release: Release) -> None:
    restarted = {
        name for _, line in commands() for name in re.findall(r"deployment/(mlflow\S+)", line)
    }
    deployments = {each["metadata"]["name"] for each in release.all("Deployment")}
    assert restarted
    assert restarted <= deployments
