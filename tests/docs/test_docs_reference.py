"""What the pages name of the program exists, and what it logs and reads is named."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
import yaml

from extauthz.doctor.examination import PROBES
from extauthz.edge import access, callers, handshake, job_claims, jwks, session
from extauthz.edge.envoy_http import LOGGED
from extauthz.edge.metrics import Metrics
from extauthz.edge.record import Outcome
from extauthz.edge.sessions import Event
from extauthz.edge.settings import Settings
from extauthz.plugin.metrics import Metrics as PluginMetrics
from extauthz.plugin.metrics import Opened
from extauthz.plugin.settings import Settings as PluginSettings
from tests.docs.guide import GUIDE, PAGES, ROOT, code_in, names, rows, section

REFERENCE: Final = ROOT / "docs" / "reference.md"
OPERATIONS: Final = ROOT / "docs" / "operations.md"
LEVELS: Final = {"debug", "info", "warning", "error", "exception"}
# What an event's name goes on with where it is not written out.
ENDINGS: Final[dict[str, list[str]]] = {
    "check.": [*Outcome],
    "session.": [*Event],
    "grant.": [each for each in Opened if each not in (Opened.ACCEPTED, Opened.NONE)],
}
# Other programs' settings: MLflow's, its clients', boto's, GitLab's, SharingHub's and Prometheus's.
FOREIGN: Final = re.compile(
    r"MLFLOW_(TRACKING|SERVER|SQL|ENABLE|S3|MULTIPART)_\w+|AWS_\w+|CI_(PROJECT_PATH|JOB_TOKEN)"
    r"|SSL_CERT_FILE|PROMETHEUS_MULTIPROC_DIR|SESSION_DOMAIN|CHECKER_CACHE_TIMEOUT|MLFLOW_TYPE"
    r"|STRICT|REJECT_REQUEST|MERGE_SLASHES"
)
# The first words of a row, and where its seconds are decided.
REMEMBERED: Final[dict[str, float]] = {
    "what somebody may do": Settings.model_fields["project_cache_timeout"].default,
    "the same, to read on while": Settings.model_fields["stale_if_error"].default,
    "that a token is bad": callers.SECONDS_REFUSED,
    "that a project is not there": callers.SECONDS_ABSENT,
    "the scopes of a token": access._SECONDS_OF_REACH,
    "which token is in a SharingHub": Settings.model_fields[
        "sharinghub_auth_cache_timeout"
    ].default,
    "GitLab's keys for CI jobs": jwks._SECONDS_FRESH,
    "that a CI token is good": job_claims.OLDEST,
    "a session that nobody uses": Settings.model_fields["permanent_session_lifetime"].default,
    "any session": session.SECONDS_AT_MOST,
    "a sign-in under way": handshake.SECONDS,
}


class Watched(dict[str, str]):
    """An environment that remembers what was looked up."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override] # as it is called
        self.asked.add(key)
        return super().get(key, default)


def logged() -> Iterator[tuple[str, str]]:
    """Yield each event with its level."""
    for half in ("edge", "plugin"):
        for module in (ROOT / "extauthz" / half).glob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(attr=level), args=[told, *_]) if (
                        level in LEVELS
                    ):
                        for event in events(told):
                            yield event, level.replace("exception", "error")


def events(told: ast.expr) -> list[str]:
    match told:
        case ast.Constant(value=str(text)) if re.fullmatch(r"[a-z]+\.[a-z_]+", text):
            return [text]
        case ast.JoinedStr(values=[ast.Constant(value=str(beginning)), *_]):
            return [f"{beginning}{ending}" for ending in ENDINGS[beginning]]
        case _:
            return []


def test_every_log_event_is_listed_with_its_level_and_there_are_no_others() -> None:
    listed = {
        (event, level)
        for row in rows(section(REFERENCE, "Log events"))
        for number, event in enumerate(names(row[0]))
        for level in [(row[1].split(", ") * len(names(row[0])))[number]]
    }
    assert listed == {*logged(), (LOGGED["event"], "")}


def test_every_event_that_a_page_names_exists() -> None:
    known = {event for event, _ in logged()} | {LOGGED["event"]}
    families = {event.partition(".")[0] for event in known} - {"edge", "job", "page", "session"}
    named = {
        code
        for page in PAGES
        for code in code_in(page)
        if re.fullmatch(r"[a-z]+\.[a-z_]+", code) and code.partition(".")[0] in families
    }
    assert named <= known


def test_every_setting_of_the_plugin_is_listed_with_its_default() -> None:
    environ = Watched(GRANT_KEY="k" * 32, INSTANCE_ID="gitlab.example.com")
    PluginSettings.load(environ)
    listed = {
        names(row[0])[0]: names(row[1])
        for row in rows(section(REFERENCE, "Settings of the plugin"))
    }
    files = {f"{name}_FILE" for name in listed if f"`{name}_FILE`" in REFERENCE.read_text()}
    assert environ.asked - {"INSTANCE_ID_FILE"} == {*listed} | files
    for name, default in listed.items():
        if default:
            spelt = {"GRANT_KEY": "k" * 32, "INSTANCE_ID": "gitlab.example.com", name: default[0]}
            # Equal keys are no equal objects.
            usual, given = (PluginSettings.load(each) for each in (environ, spelt))
            assert replace(usual, keys=()) == replace(given, keys=()), name


def test_every_setting_that_a_page_names_exists() -> None:
    fields = {name.upper() for name in Settings.model_fields}
    plugin = {names(row[0])[0] for row in rows(section(REFERENCE, "Settings of the plugin"))}
    known = fields | plugin | {f"{name}_FILE" for name in fields}
    named = {
        word
        for page in PAGES
        for code in code_in(page)
        for word in re.findall(r"(?<![\w-])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+(?![\w-])", code)
    }
    assert {name for name in named - known if not FOREIGN.fullmatch(name)} == set()


def test_every_metric_and_alert_that_a_page_names_exists() -> None:
    counted = (Metrics().registry, PluginMetrics().registry)
    metrics = {family.name for registry in counted for family in registry.collect()}
    rules = yaml.safe_load((ROOT / "charts/mlflow-extauthz/files/alerts.yaml").read_text())
    alerts = {
        rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule
    }
    text = "".join(page.read_text() for page in GUIDE)
    named = {
        name.removesuffix("_total") for name in re.findall(r"extauthz_(?!migrate_)[a-z_]+", text)
    }
    assert named <= metrics
    assert {*re.findall(r"\bExtauthz[A-Z]\w+", text)} <= alerts


def test_every_finding_of_the_doctor_that_a_page_names_exists() -> None:
    named = {
        finding for page in GUIDE for finding in re.findall(r"(?m)^\| ✗ (.+?) \|", page.read_text())
    }
    assert named
    assert named <= PROBES.keys()


@pytest.mark.parametrize("what", REMEMBERED)
def test_what_is_remembered_is_so_for_as_long_as_the_page_says(what: str) -> None:
    (row,) = [row for row in remembered() if row[0].startswith(what)]
    assert row[1].split()[0] == str(int(REMEMBERED[what]))


def test_everything_that_the_page_says_is_remembered_has_such_a_test() -> None:
    assert len(remembered()) == len(REMEMBERED)


def remembered() -> list[list[str]]:
    return rows(section(OPERATIONS, "How long a change takes"))
