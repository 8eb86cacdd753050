"""What is counted, under which names, and that nothing tells of persons or projects."""

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from extauthz.edge.access_cache import Result
from extauthz.edge.metrics import Metrics
from extauthz.edge.operations import Called, Operation
from extauthz.edge.record import Outcome, Place, Record
from extauthz.edge.refusals import REASONS, Refusal
from extauthz.edge.sessions import Event
from tests.access import Calls, deciding
from tests.gitlab import DEVELOPER, GitLab

PATH = "acme/vision"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(provider="gitlab")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    metrics.read_gauges()
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: Metrics) -> Iterator[tuple[str, dict[str, str]]]:
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            yield sample.name, sample.labels


def test_all_that_can_be_counted_is_there_before_it_happens(metrics: Metrics) -> None:
    names = {
        "extauthz_logins_total": {"begun", "completed", *REASONS},
        "extauthz_session_events_total": set(Event),
        "extauthz_provider_retries_total": set(Operation),
        "extauthz_provider_call_seconds_count": set(Operation),
    }
    seen = list(series(metrics))
    for name, values in names.items():
        assert {next(iter(labels.values())) for found, labels in seen if found == name} == values
    checks = [labels for name, labels in seen if name == "extauthz_checks_total"]
    assert {each["reason"] for each in checks} == {"none", *REASONS}
    assert {each["view"] for each in checks} == set(Place)
    calls = [labels for name, labels in seen if name == "extauthz_provider_calls_total"]
    assert len(calls) == len(Operation) * len(Called)


def test_every_refusal_has_its_reason_in_the_list() -> None:
    def leaves(kind: type[Refusal]) -> Iterator[type[Refusal]]:
        for each in kind.__subclasses__():
            yield each
            yield from leaves(each)

    assert {leaf.reason for leaf in leaves(Refusal)} == set(REASONS)


def test_one_rule_for_all_names(metrics: Metrics) -> None:
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        assert family.name.startswith("extauthz_")
        assert family.documentation.endswith(".")
        assert (family.type == "histogram") == family.name.endswith("_seconds")
        for sample in family.samples:
            assert set(sample.labels) <= {
                *("cache", "decision", "event", "le", "operation", "outcome", "provider"),
                *("reason", "result", "server", "version", "view"),
            }


def test_a_decision_is_counted_where_it_belongs(metrics: Metrics) -> None:
    record = Record(
        outcome=Outcome.REFUSED, reason="not_found", view=Place.PROJECT, status=404, seconds=0.002
    )
    metrics.check_decided(record)

    labels = {"decision": "refused", "reason": "not_found", "view": "project"}
    assert value(metrics, "extauthz_checks_total", **labels) == 1
    assert value(metrics, "extauthz_check_seconds_count") == 1
    assert value(metrics, "extauthz_check_seconds_bucket", le="0.001") == 0
    assert value(metrics, "extauthz_check_seconds_bucket", le="0.005") == 1


def test_gauges_are_looked_at_when_they_are_asked_for(metrics: Metrics) -> None:
    entries, down = [0], [True]
    metrics.cache_opened("project", lambda: entries[0])
    metrics.server_added("GitLab", lambda: down[0])
    assert value(metrics, "extauthz_cache_entries", cache="project") == 0
    assert value(metrics, "extauthz_breaker_open", server="gitlab") == 1
    entries[0], down[0] = 7, False

    assert value(metrics, "extauthz_cache_entries", cache="project") == 7
    assert value(metrics, "extauthz_breaker_open", server="gitlab") == 0


@pytest.mark.parametrize("down", [(True, False), (False, True)])
def test_a_server_is_down_if_one_of_its_breakers_is_open(
    metrics: Metrics, down: tuple[bool, bool]
) -> None:
    one, other = down
    metrics.server_added("GitLab", lambda: one)
    metrics.server_added("GitLab", lambda: other)

    assert value(metrics, "extauthz_breaker_open", server="gitlab") == 1


async def test_look_ups_are_counted_by_how_they_end() -> None:
    calls = Calls()
    with GitLab.start() as gitlab:
        gitlab.create_user("ann")
        gitlab.create_project(PATH)
        gitlab.add_member(PATH, "ann", DEVELOPER)
        token = gitlab.token("ann")
        async with deciding(gitlab, calls=calls) as world:
            await world.in_project(token, PATH)
            world.known_project(token, PATH)
            assert calls.caches["project"]() == 1
    assert calls.lookups == [("project", Result.MISS), ("project", Result.HIT)]
