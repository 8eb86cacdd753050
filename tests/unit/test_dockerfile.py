"""The Dockerfile, as far as it says what the code says elsewhere, or what a change could lose."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from extauthz.cli import _parser
from extauthz.local.installation import own_installation
from extauthz.local.options import RunOptions
from extauthz.plugin.command import command, environment

ROOT = Path(__file__).parents[2]
TARGETS = ("edge", "mlflow", "all-in-one")
# What an installation has to say itself.
ITS_OWN = {
    "GRANT_KEY",
    "INSTANCE_ID",
    "FRAME_ANCESTORS",
    "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """The instructions of one stage: what `base` is, and each name with its arguments."""

    name: str
    base: str
    instructions: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [arguments for instruction, arguments in self.instructions if instruction == name]

    def last(self, name: str) -> str:
        return self.all(name)[-1]

    @property
    def argv(self) -> list[str]:
        """What it runs."""
        return list(json.loads(self.last("CMD")))

    @property
    def environ(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for line in self.all("ENV") for pair in line.split())


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", "").splitlines() if line]
    return [
        (name, " ".join(rest.split())) for name, _, rest in (one.partition(" ") for one in lines)
    ]


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    body: list[tuple[str, str]] = []
    for name, arguments in instructions():
        if name == "FROM":
            base, _, alias = arguments.split()
            body = []
            found[alias] = Stage(alias, base, ())
        elif found:
            body.append((name, arguments))
            alias = next(reversed(found))
            inherited = found[found[alias].base].instructions if found[alias].base in found else ()
            found[alias] = Stage(alias, found[alias].base, (*inherited, *body))
    return found


STAGES = stages()
ports = {name: {int(port) for port in STAGES[name].last("EXPOSE").split()} for name in TARGETS}


def pins(lock: str) -> set[str]:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    return set(re.findall(r"^[\w.-]+==\S+", text, flags=re.MULTILINE))


def test_the_last_and_so_the_default_is_all_in_one() -> None:
    assert tuple(STAGES)[-3:] == TARGETS


def test_every_stage_begins_with_the_one_pinned_base() -> None:
    (pinned,) = [arguments for name, arguments in instructions()[:1] if name == "ARG"]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.11\.\d+-slim-bookworm", pinned)
    assert {stage.base for stage in STAGES.values()} - set(STAGES) == {"${PYTHON_IMAGE}"}


def test_nothing_is_fetched_but_what_a_lock_has_a_hash_of() -> None:
    assert not [name for name, _ in instructions() if name == "ADD"]
    runs = [arguments for name, arguments in instructions() if name == "RUN"]
    assert not [run for run in runs if re.search(r"apt|curl|wget|https?://", run)]
    for run in runs:
        for install in re.findall(r"pip (?:--python \S+ )?(?:install|wheel) .*?(?=&&|$)", run):
            assert "--no-deps" in install
            assert "--no-index" in install or "--require-hashes -r requirements/" in install


def test_the_locks_of_the_images_agree_with_what_is_tested() -> None:
    tested = pins("dev") | pins("demo")
    assert pins("server") <= tested
    assert pins("mlflow") <= tested
    (builder,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert builder.startswith("hatchling>=")
    assert any(pin.startswith("hatchling==") for pin in pins("build"))


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_a_user_who_may_do_nothing_and_says_when_it_serves(target: str) -> None:
    stage = STAGES[target]
    assert stage.last("USER") == "1000:1000"
    assert stage.last("STOPSIGNAL") == "SIGTERM"
    assert stage.last("WORKDIR") == "/home/mlflow"
    (probed,) = re.findall(r"C\('127\.0\.0\.1', (\d+)", stage.last("HEALTHCHECK"))
    assert int(probed) in ports[target]
    assert 'org.opencontainers.image.version="${VERSION}"' in stage.last("LABEL")
    assert not stage.all("RUN")[1:], "what builds is in the stages before"


@pytest.mark.parametrize("target", TARGETS)
def test_a_new_version_of_extauthz_is_a_layer_above_its_packages(target: str) -> None:
    packages, ours = STAGES[target].all("COPY")
    assert re.fullmatch(r"--from=(edge|mlflow|all)-packages /opt/extauthz /opt/extauthz", packages)
    assert ours == "--from=extauthz /opt/extauthz /opt/extauthz"


def test_the_edge_listens_where_everybody_expects_it() -> None:
    program, *arguments = STAGES["edge"].argv
    options, defaults = _parser().parse_args(arguments), _parser().parse_args(["serve"])
    assert program == "extauthz"
    listening = [options.listen, options.pages_listen, options.admin_listen]
    usual = [defaults.listen, defaults.pages_listen, defaults.admin_listen]
    assert listening == [address.replace("127.0.0.1", "0.0.0.0") for address in usual]
    assert ports["edge"] == {int(address.rpartition(":")[2]) for address in usual}


def test_mlflow_is_started_as_elsewhere() -> None:
    expected = command(host="0.0.0.0", port=5001)[2:]
    # These are in the environment, for whoever needs others.
    for option in ("--allowed-hosts", "--workers"):
        place = expected.index(option)
        del expected[place : place + 2]
    assert sorted(STAGES["mlflow"].argv) == sorted(expected)
    assert ports["mlflow"] == {5001, 5002}


def test_mlflow_has_the_environment_it_has_elsewhere() -> None:
    expected = environment(
        grant_key=SecretStr(""),
        instance="",
        backend_store_uri="sqlite:////home/mlflow/data/mlflow.db",
        artifacts_destination="/home/mlflow/data/mlartifacts",
    )
    expected = {name: value for name, value in expected.items() if name not in ITS_OWN}
    given = STAGES["mlflow"].environ
    assert {name: given.get(name) for name in expected} == expected
    assert given["MLFLOW_WORKERS"] == "1"
    assert given["METRICS_LISTEN"] == "0.0.0.0:5002"
    assert "*" not in given["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert not {name for name in given if name.endswith("_KEY")}


def test_all_in_one_keeps_the_data_where_mlflow_sharinghub_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = STAGES["all-in-one"].argv
    options = _parser().parse_args(arguments)
    assert (program, options.host, {options.port}) == ("extauthz", "0.0.0.0", ports["all-in-one"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"GITLAB_URL": "https://gitlab.example.com"})
    settings = own_installation(RunOptions(data=options.data)).settings
    places = (settings.mlflow_backend_store_uri, settings.mlflow_artifacts_destination)
    assert [place.replace(str(tmp_path), "/home/mlflow") for place in places] == [
        "sqlite:////home/mlflow/data/mlflow.db",
        "/home/mlflow/data/mlartifacts",
    ]


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    first, *allowed = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] != "#"
    ]
    assert first == "*"
    seen = {line.removeprefix("!") for line in allowed if line.startswith("!")}
    copied = {
        path.split("/")[0]
        for name, arguments in instructions()
        if name == "COPY" and "--from" not in arguments
        for path in arguments.split()[:-1]
    }
    assert copied == seen
    assert all((ROOT / path).exists() for path in copied)
