"""One line for each decision: enough to understand it, and nobody named unless that is wanted."""

import json
from collections.abc import Iterator

import pytest
import structlog

from extauthz.edge.answers import Allow, Decision, Deny, Found, Moved, ToPages
from extauthz.edge.decision_log import DecisionLog
from extauthz.edge.record import Record
from extauthz.edge.refusals import NotFound, TooManyAttempts, Unavailable
from extauthz.edge.request import Request
from extauthz.edge.scope import Redirect, scope_of
from extauthz.edge.settings import Settings, SettingsError
from extauthz.logs import configure

TOKEN = "glpat-very-secret"
VIEW = "/acme/vision/tracking/api/2.0/mlflow/runs/get"
ALLOWED = Allow("signed", "/api/2.0/mlflow/runs/get", ("session=secret",), "gitlab:7")


@pytest.fixture(autouse=True)
def _as_configured() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def record(decision: Decision, path: str = VIEW, *, name: str = "7f") -> Record:
    request = Request(
        id=name,
        method="GET",
        host="mlflow.example.org",
        path=path,
        query="run_id=secret",
        headers={"authorization": f"Bearer {TOKEN}"},
        client="192.0.2.1",
    )
    return Record.of(decision, request=request, scope=scope_of(path), seconds=0.0012345)


def line(capsys: pytest.CaptureFixture[str], record: Record, *, subjects: bool = False) -> str:
    configure("json")
    DecisionLog(subjects=subjects).check_decided(record)
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.count("\n") == 1
    return written.err


def test_a_line_says_what_why_and_for_which_request(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(line(capsys, record(Deny(NotFound("No project acme/vision.")))))

    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "check.refused",
        "level": "info",
        "reason": "not_found",
        "view": "project",
        "status": 404,
        "method": "GET",
        "milliseconds": 1.234,
        "request": "7f",
    }


@pytest.mark.parametrize(
    ("decision", "event", "status", "reason"),
    [
        (ALLOWED, "allowed", 200, "none"),
        (ToPages("/auth/", "signed"), "allowed", 200, "none"),
        (Moved("/x/"), "redirected", 308, "none"),
        (Found("/x/"), "redirected", 302, "none"),
        (Deny(TooManyAttempts("Wait.")), "refused", 429, "too_many_attempts"),
        (Deny(Unavailable("Later.")), "refused", 503, "unavailable"),
    ],
)
def test_every_decision_has_its_event(
    capsys: pytest.CaptureFixture[str], decision: Decision, event: str, status: int, reason: str
) -> None:
    found = json.loads(line(capsys, record(decision)))

    assert (found["event"], found["status"]) == (f"check.{event}", status)
    assert found["reason"] == reason


@pytest.mark.parametrize(
    ("path", "view"),
    [
        (VIEW, "project"),
        ("/acme/vision/tracking/static-files/main.js", "public"),
        ("/api/2.0/mlflow/experiments/search", "global"),
        ("/health", "public"),
        ("/auth/login", "page"),
        ("/acme/vision/tracking", "none"),
    ],
)
def test_the_view_is_told_and_not_the_project(
    capsys: pytest.CaptureFixture[str], path: str, view: str
) -> None:
    assert isinstance(scope_of("/acme/vision/tracking"), Redirect)
    found = line(capsys, record(ALLOWED, path))

    assert json.loads(found)["view"] == view
    assert not any(secret in found for secret in ("acme", "vision", "gitlab:7", "secret", "192.0"))


def test_who_and_which_project_is_told_to_those_who_ask_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = line(capsys, record(ALLOWED), subjects=True)

    assert json.loads(found)["project"] == "acme/vision"
    assert json.loads(found)["subject"] == "gitlab:7"
    assert "secret" not in found


def test_what_could_not_even_be_read_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Record.of(Deny(Unavailable("x")), request=None, scope=None, seconds=0)
    found = json.loads(line(capsys, nothing, subjects=True))

    assert (found["view"], found["method"], found["request"]) == ("none", "", "")
    assert (found["project"], found["subject"]) == ("", "")


def test_an_id_that_somebody_made_up_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """In a mesh the id may come from the client: no line of his own, and no long one."""
    found = json.loads(
        line(capsys, record(ALLOWED, name='"}\n{"event": "check.allowed' + "x" * 9000))
    )

    assert found["event"] == "check.allowed"
    assert found["request"].startswith('"}\n{')
    assert len(found["request"]) == 128


def test_a_terminal_gets_text_and_a_level_leaves_out_what_is_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("console", "info")
    DecisionLog().check_decided(record(ALLOWED))
    assert "check.allowed" in capsys.readouterr().err

    configure("json", "warning")
    DecisionLog().check_decided(record(ALLOWED))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["LOG_FORMAT", "LOG_LEVEL", "LOG_SUBJECTS"])
def test_what_is_no_choice_is_refused_at_start(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.load({"GITLAB_URL": "https://gitlab.example.org", name: "perhaps"})
