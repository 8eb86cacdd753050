"""The longer events: everything restarted, frozen, with new keys, and a GitLab on every bad day."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.clock import Clock
from tests.chaos.part import Part
from tests.chaos.site import FIRST_KEY, Everybody, Site
from tests.outages import OUTAGES, Fault

pytestmark = pytest.mark.soak

NEXT_KEY = "the next grant key of tests, also long enough"
PARTS: dict[str, Callable[[Site], Part]] = {
    "an edge": lambda site: site.edges[0].part,
    "Envoy": lambda site: site.envoy.part,
    "MLflow": lambda site: site.mlflow,
    "Redis": lambda site: site.redis,
    "PostgreSQL": lambda site: site.database,
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_frozen_and_goes_on(everybody: Everybody, name: str) -> None:
    with everybody.during() as crowd:
        part = PARTS[name](everybody.site)
        part.freeze()
        if name == "Envoy":
            crowd.waits()
        else:
            crowd.hears(30)
        part.thaw()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_restarted(everybody: Everybody, name: str) -> None:
    with everybody.during() as crowd:
        part = PARTS[name](everybody.site)
        part.restart()
        crowd.hears(20)


def test_envoy_is_killed_and_takes_its_place_again(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        everybody.site.envoy.part.kill()
        crowd.is_hit()
        crowd.hears(20)
        everybody.site.envoy.part.start()


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda fault: fault[0])
def test_gitlab_is_away_and_back(everybody: Everybody, fault: Fault) -> None:
    """Threats 74 and 78."""
    effect, details = fault
    with everybody.during() as crowd:
        everybody.site.gitlab.faults(effect, path="/api/", **details)
        crowd.is_hit()
        crowd.hears(60)


def test_gitlab_is_slow_and_everybody_is_served(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        everybody.site.gitlab.faults("latency", path="/api/", seconds=0.5)
        crowd.hears(60)
    crowd.account.nobody_waited()


def test_grant_keys_change_without_a_failed_request(everybody: Everybody) -> None:
    """In the documented order: MLflow opens what the edges begin to sign, then the edges."""
    site = everybody.site
    site.mlflow.restart(GRANT_KEY=NEXT_KEY, GRANT_KEY_PREVIOUS=FIRST_KEY)
    with everybody.during() as crowd:
        for edge in site.edges:
            edge.part.restart(GRANT_KEY=NEXT_KEY)
            site.is_whole()
            crowd.hears(20)
    crowd.account.nobody_waited()
    site.mlflow.restart(GRANT_KEY_PREVIOUS="")
    with everybody.during() as crowd:
        crowd.hears(20)
    crowd.account.nobody_waited()


@pytest.mark.parametrize("seconds", [3_600, -3_600])
@pytest.mark.parametrize("of", ["the edges", "MLflow", "both"])
def test_a_clock_jumps_and_jumps_back(
    everybody: Everybody, tmp_path: Path, of: str, seconds: int
) -> None:
    """A grant from another time opens nothing; an hour is less than a session may be idle."""
    site, clock = everybody.site, Clock(tmp_path / "clock")
    clock.is_off_by(0)
    parts = [each.part for each in site.edges] if of != "MLflow" else []
    parts += [site.mlflow] if of != "the edges" else []
    for part in parts:
        part.restart(**clock.environment)
    site.is_whole()
    try:
        with everybody.during() as crowd:
            clock.is_off_by(seconds)
            if of != "both":
                crowd.is_hit()
            crowd.hears(40)
            clock.is_off_by(0)
    finally:
        for part in parts:
            part.restart(**dict.fromkeys(clock.environment, ""))
        site.is_whole()
