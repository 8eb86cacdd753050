"""Parts are killed, frozen and replaced under a crowd: nobody gets in, and nothing is lost."""

from tests.chaos.site import Everybody
from tests.polling import eventually


def test_a_drained_edge_is_replaced_without_a_failed_request(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        for edge in everybody.site.edges:
            edge.part.stop()
            crowd.hears(20)
            edge.part.start()
            everybody.site.is_whole()
    crowd.account.nobody_waited()


def test_one_of_two_edges_is_killed_and_the_other_serves(everybody: Everybody) -> None:
    """CVE-2023-27488, CVE-2024-23324: what cannot be asked lets nobody in."""
    killed = everybody.site.edges[1].part
    with everybody.during() as crowd:
        killed.kill()
        eventually(everybody.site.envoy.healthy, 1)
        crowd.hears(40)
        crowd.is_served()
        killed.start()


def test_both_edges_are_killed_and_nobody_gets_in(everybody: Everybody) -> None:
    """CVE-2023-27488, CVE-2024-23324."""
    with everybody.during() as crowd:
        for edge in everybody.site.edges:
            edge.part.kill()
        crowd.is_hit()
        crowd.hears(40)
        for edge in everybody.site.edges:
            edge.part.start()


def test_gitlab_is_silent_and_well_again(everybody: Everybody) -> None:
    """Threats 74 and 78."""
    with everybody.during() as crowd:
        everybody.site.gitlab.faults("hang", path="/api/")
        crowd.is_hit()
        crowd.hears(60)


def test_mlflow_is_killed_and_keeps_what_it_acknowledged(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        everybody.site.mlflow.kill()
        crowd.is_hit()
        crowd.hears(40)
        everybody.site.mlflow.start()


def test_redis_is_killed_and_sessions_survive(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        everybody.site.redis.kill()
        crowd.is_hit()
        crowd.hears(40)
        everybody.site.redis.start()


def test_postgres_is_killed_and_keeps_what_was_acknowledged(everybody: Everybody) -> None:
    with everybody.during() as crowd:
        everybody.site.database.kill()
        crowd.is_hit()
        crowd.hears(60)
        everybody.site.database.start()
