"""GitLab's bad days and made-up tokens: who is known is served, by token and in a session."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.caller import Caller
from tests.gitlab import DEVELOPER, GitLab
from tests.polling import eventually
from tests.servers.envoy import Answer
from tests.servers.stack import Stack, login_gateway
from tests.signing_in import signed_in
from tests.tenants import Project, Tenants, unique
from tests.visitor import Visitor

CALLS, DECISIONS = "extauthz_provider_calls_total", "extauthz_checks_total"
LOOKUPS, SESSIONS = "extauthz_cache_lookups_total", "extauthz_session_events_total"
# Of the API alone: signing in goes on.
API = "^/api/"
FAULTS: dict[str, dict[str, Any]] = {
    "an error": {"effect": "error", "status": 500},
    "a bad gateway's page": {"effect": "html", "status": 502},
    "a page for browsers": {"effect": "html", "status": 200},
    "a firewall's refusal": {"effect": "html", "status": 403},
    "a reset": {"effect": "reset"},
    "half an answer": {"effect": "truncate"},
    "far too much": {"effect": "huge", "size": 8 * 1024 * 1024},
    "a redirect elsewhere": {"effect": "redirect", "location": "http://127.0.0.1:9/"},
    "silence": {"effect": "hang"},
    "an answer that is too late": {"effect": "latency", "seconds": 4},
}


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge of these tests' own, where people sign in."""
    folder, settings = tmp_path_factory.mktemp("trouble"), {"PROJECT_CACHE_TIMEOUT": "0.4"}
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow, settings) as running:
        yield running


@dataclass(frozen=True, slots=True)
class People:
    """Two who are known and two who are new in one project: by token, and in a session."""

    project: Project
    known: tuple[Caller, Caller]
    new: tuple[Caller, Caller]

    @property
    def stack(self) -> Stack:
        return self.project.tenants.stack

    @property
    def gitlab(self) -> GitLab:
        return self.stack.gitlab

    def add(self) -> tuple[Caller, Caller]:
        """Return two newcomers."""
        return _both(self.project)

    def count(self, metric: str, **labels: str) -> float:
        """Return what the edge has counted by now."""
        url = f"http://127.0.0.1:{self.stack.edge.admin_port}/metrics"
        with urlopen(url, timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = (sample for family in families for sample in family.samples)
        return sum(
            sample.value
            for sample in samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )


def _both(project: Project) -> tuple[Caller, Caller]:
    token = project.caller(project.tenants.token(project.member(DEVELOPER)))
    return token, signed_in(project.tenants.stack, project.member(DEVELOPER), token.prefix)


@pytest.fixture
def people(front: Stack) -> Iterator[People]:
    """GitLab is well again after the test, and the edge knows."""
    project = Tenants(front).project()
    everybody = People(project, _both(project), _both(project))
    everybody.known[0].post("experiments/create", name="there")
    assert statuses(writes, everybody.known) == [200, 200]
    yield everybody
    front.gitlab.heal()
    front.gitlab.tamper()
    eventually(lambda: statuses(writes, _both(project)), [200, 200])


def reads(caller: Caller) -> Answer:
    return caller.call("POST experiments/search", max_results=1000)


def writes(caller: Caller) -> Answer:
    return caller.call("POST experiments/create", name=unique("experiment"))


def names(caller: Caller) -> list[str]:
    return [experiment["name"] for experiment in reads(caller).json().get("experiments", [])]


def everywhere(caller: Caller) -> Caller:
    return Caller(caller.port, "", caller.headers)


def at_once(ask: Callable[[Caller], Answer], callers: tuple[Caller, ...]) -> list[Answer]:
    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(ask, callers))


def statuses(ask: Callable[[Caller], Answer], callers: tuple[Caller, ...]) -> list[int]:
    return [answer.status for answer in at_once(ask, callers)]


def is_an_outage(answer: Answer) -> None:
    assert answer.status == 503, answer.body
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize("fault", FAULTS)
def test_who_is_known_reads_on_and_who_is_new_comes_again(people: People, fault: str) -> None:
    """Threats 74, 75 and 78."""
    trouble = people.count(CALLS, operation="project", outcome="trouble")
    stale, unavailable = (
        people.count(LOOKUPS, result="stale"),
        people.count(DECISIONS, reason="unavailable"),
    )
    people.gitlab.faults(path=API, **FAULTS[fault])
    eventually(lambda: statuses(writes, people.known), [503, 503])
    kept, there = people.stack.mlflow.contents(), names(people.known[0])
    assert "there" in there
    for answer in at_once(writes, people.new):
        is_an_outage(answer)
    for _ in range(3):
        for caller in people.known:
            assert names(caller) == there
            is_an_outage(writes(caller))
    assert people.stack.mlflow.contents() == kept
    assert people.count(CALLS, operation="project", outcome="trouble") >= trouble + 2
    assert people.count(LOOKUPS, result="stale") >= stale + 12
    # A write of who is known is refused in MLflow, not here.
    assert people.count(DECISIONS, reason="unavailable") == unavailable + 2
    people.gitlab.heal()
    eventually(lambda: statuses(writes, (*people.known, *people.new)), [200] * 4)


def test_the_global_view_of_a_session_is_whole_or_absent(people: People) -> None:
    """Threat 78."""
    known, new = (everywhere(each[1]) for each in (people.known, people.new))
    eventually(lambda: names(known).count("there"), 1)
    people.gitlab.faults("error", path=API, status=500)
    eventually(lambda: statuses(writes, people.known), [503, 503])
    is_an_outage(reads(new))
    there = names(known)
    assert "there" in there
    assert [names(known) for _ in range(3)] == [there] * 3
    people.gitlab.heal()
    eventually(lambda: "there" in names(new), wanted=True)


@pytest.mark.parametrize("throttled", [0, 1])
def test_one_credential_that_asks_too_often_touches_no_other(
    people: People, throttled: int
) -> None:
    """Threat 74: a 429 is about one token, and never an outage."""
    stale, trouble = people.count(LOOKUPS, result="stale"), people.count(CALLS, outcome="trouble")
    before = people.count(CALLS, outcome="throttled")
    people.gitlab.faults("throttle", path=API, seconds=1, times=1)
    limited = people.new[throttled]
    answer = reads(limited)
    is_an_outage(answer)
    assert int(answer.headers["retry-after"]) == 1
    others = (people.new[1 - throttled], *people.known, *people.add())
    assert statuses(writes, others) == [200] * 5
    eventually(lambda: writes(limited).status, 200)
    assert people.count(CALLS, outcome="throttled") == before + 1
    assert (people.count(LOOKUPS, result="stale"), people.count(CALLS, outcome="trouble")) == (
        stale,
        trouble,
    )


def test_a_gitlab_that_fails_everybody_is_left_alone_and_found_again(people: People) -> None:
    """Threat 74: an outage costs GitLab next to nothing."""
    skipped = people.count(CALLS, outcome="skipped")
    many = (*people.add(), *people.add(), *people.add())
    people.gitlab.faults("error", path=API, status=503)
    eventually(lambda: statuses(writes, people.known), [503, 503])
    for answer in at_once(reads, many):
        is_an_outage(answer)

    def is_left_alone() -> bool:
        people.gitlab.forget_calls()
        for answer in at_once(reads, many):
            is_an_outage(answer)
        return people.gitlab.calls() == []

    eventually(is_left_alone, wanted=True)
    assert people.count(CALLS, outcome="skipped") >= skipped + len(many)
    assert statuses(reads, people.known) == [200, 200]
    people.gitlab.heal()
    eventually(lambda: statuses(writes, (*people.known, *many)), [200] * 8)


def test_a_session_outlives_an_outage_of_the_refresh(people: People) -> None:
    """A refresh that fails signs nobody out: the old tokens count as long as they are good."""
    people.gitlab.tamper(access_token_lifetime=6)
    user = people.project.member(DEVELOPER)
    session = signed_in(people.stack, user, people.known[0].prefix)
    people.gitlab.tamper()
    failed, refreshed = (
        people.count(SESSIONS, event=event) for event in ("refresh_failed", "refreshed")
    )
    people.gitlab.faults("error", path="^/oauth/token$", status=500)
    seen: set[int] = set()

    def has(event: str) -> float:
        answers = at_once(reads, (session, *people.known))
        seen.add(answers[0].status)
        assert [answer.status for answer in answers[1:]] == [200, 200]
        return people.count(SESSIONS, event=event)

    eventually(lambda: has("refresh_failed") > failed, wanted=True)
    people.gitlab.heal()
    eventually(lambda: has("refreshed"), refreshed + 1)
    assert 200 in seen <= {200, 503}
    assert writes(session).status == 200


def test_a_session_whose_refresh_gitlab_refuses_has_ended(people: People) -> None:
    """Threat 44."""
    people.gitlab.tamper(access_token_lifetime=2)
    user = people.project.member(DEVELOPER)
    begun, lost = (people.count(SESSIONS, event=event) for event in ("begun", "lost"))
    session = signed_in(people.stack, user, people.known[0].prefix)
    assert people.count(SESSIONS, event="begun") == begun + 1
    people.gitlab.revoke_applications(user)

    def has_lost() -> float:
        reads(session)
        return people.count(SESSIONS, event="lost")

    eventually(has_lost, lost + 1)
    assert statuses(writes, (session, session, session)) == [401] * 3
    assert people.count(SESSIONS, event="lost") == lost + 1


def test_a_logout_that_gitlab_does_not_hear_of_does_not_happen(people: People) -> None:
    """Threat 60: the tokens would outlive the session unseen."""
    ended = people.count(SESSIONS, event="ended")
    visitor = Visitor(people.stack, people.project.member(DEVELOPER))
    visitor.open(visitor.sign_in(visitor.begin()))
    view = f"{people.known[0].prefix}/"
    people.gitlab.faults("error", path="^/oauth/revoke$", status=500)
    assert visitor.sign_out().status == 503
    assert (visitor.open(view).status, people.count(SESSIONS, event="ended")) == (200, ended)
    people.gitlab.heal()
    cookie = visitor.session
    assert visitor.sign_out().status in (302, 303)
    assert people.count(SESSIONS, event="ended") == ended + 1
    visitor.plant(visitor.session_cookie, cookie)
    assert visitor.open(view).status == 401


def test_made_up_tokens_hold_up_only_themselves(whole_stack: Stack, tmp_path: Path) -> None:
    """Threats 24 and 72: what they claim to come through does not matter, one address counts."""
    with login_gateway(tmp_path, whole_stack.gitlab, whole_stack.mlflow) as stack:
        project = Tenants(stack).project()
        people = People(project, _both(project), _both(project))
        assert statuses(writes, people.known) == [200, 200]
        stack.gitlab.forget_calls()
        numbers = count(1)

        def made_up() -> Caller:
            stranger = project.caller(f"glpat-{unique('made-up')}")
            return stranger.sending(("X-Forwarded-For", f"198.51.100.{next(numbers) % 256}"))

        kept = stack.mlflow.contents()
        answers = [writes(made_up()) for _ in range(20)]
        # These wait for their refusals.
        with ThreadPoolExecutor(40) as pool:
            answers += pool.map(writes, [made_up() for _ in range(40)])
        assert [answer.status for answer in answers[:20]] == [401] * 20
        assert {answer.status for answer in answers[20:]} <= {401, 429}
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) >= 20
        for answer in refused:
            assert 0 < int(answer.headers["retry-after"]) <= 60
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
            assert "MLFLOW_TRACKING_TOKEN" in answer.json()["message"]
            assert answer.json().keys() == {"error_code", "message"}
        assert stack.mlflow.contents() == kept
        # Two for each that was tried: whether it is good, and what it lacks.
        assert len(stack.gitlab.calls("/api/")) <= 2 * (60 - len(refused))
        assert people.count(DECISIONS, reason="too_many_attempts") == len(refused)
        stack.gitlab.update_project(project.path, archived=True)

        def of_the_known() -> list[int]:
            writes(made_up())
            found = statuses(writes, people.known)
            assert set(found) <= {200, 403}
            return found

        # So GitLab is asked about them all the while.
        eventually(of_the_known, [403, 403])
        stack.gitlab.update_project(project.path, archived=False)
        token, session = people.new
        # Nobody can make up a session.
        assert writes(session).status == 200
        assert writes(token).status in (200, 429)
        eventually(lambda: writes(token).status, 200)
