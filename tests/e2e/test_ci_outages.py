"""CI jobs on bad days: other keys, an outage, a service token that ends, and what logs say."""

from pathlib import Path
from time import time
from urllib.request import urlopen

from tests.caller import Caller
from tests.ci_jobs import job, minted, secret_of, service_token, taking_jobs
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.polling import eventually
from tests.servers.envoy import Answer
from tests.servers.stack import Stack
from tests.tenants import unique

READS, WRITES = (200, 403), (200, 200)


def reads(caller: Caller) -> Answer:
    return caller.call("POST experiments/search", max_results=1000)


def writes(caller: Caller) -> Answer:
    return caller.call("POST experiments/create", name=unique("experiment"))


def may(caller: Caller) -> tuple[int, int]:
    return reads(caller).status, writes(caller).status


def names(caller: Caller) -> list[str]:
    return [experiment["name"] for experiment in reads(caller).json().get("experiments", [])]


def ago(seconds: int) -> int:
    return int(time()) - seconds


def test_new_keys_of_gitlab_are_taken_and_old_ones_given_up(
    whole_stack: Stack, tmp_path: Path
) -> None:
    with (
        GitLab.start() as gitlab,
        taking_jobs(
            *(tmp_path, gitlab, whole_stack.mlflow), service=service_token(gitlab), cached=0.4
        ) as tenants,
    ):
        project = tenants.project(id=900_001)
        old = job(project)
        assert may(old) == WRITES
        gitlab.rotate_keys()
        new = job(project)
        assert reads(new).status in (200, 503)
        eventually(lambda: may(new), WRITES)
        eventually(lambda: may(old) in ((401, 401), (503, 503)), wanted=True)
        assert may(new) == WRITES


def is_an_outage(answer: Answer) -> str:
    assert (answer.status, answer.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    return str(answer.json()["message"])


def test_while_gitlab_is_down_known_projects_are_read_until_the_token_ends(
    whole_stack: Stack, tmp_path: Path
) -> None:
    """Threats 50 and 78."""
    gitlab, service = whole_stack.gitlab, service_token(whole_stack.gitlab)
    with taking_jobs(tmp_path, gitlab, whole_stack.mlflow, service=service, cached=0.4) as tenants:
        project, unknown = tenants.project(), tenants.project()
        developer, guest, stranger = job(project), job(project, GUEST), job(unknown)
        project.developer().post("experiments/create", name="there")
        begun = ago(890)
        ending, newcomer = job(project, iat=begun), job(project)
        assert (may(developer), may(guest), may(ending)) == (WRITES, READS, WRITES)
        gitlab.faults("error", path="/api/", status=500)
        try:
            eventually(lambda: writes(developer).status, 503)
            there, kept = names(developer), whole_stack.mlflow.contents()
            assert "there" in there
            for caller in (developer, newcomer, ending):
                assert "GitLab cannot be reached" in is_an_outage(writes(caller))
                assert names(caller) == there
            assert may(guest) == READS
            for answer in (reads(stranger), writes(stranger)):
                is_an_outage(answer)
            eventually(lambda: reads(ending).status, 401)
            assert time() >= begun + 900
            assert [may(ending) for _ in range(3)] == [(401, 401)] * 3
            assert names(developer) == there
            assert whole_stack.mlflow.contents() == kept
        finally:
            gitlab.heal()
        eventually(lambda: (may(developer), may(guest), may(stranger)), (WRITES, READS, WRITES))
        assert may(ending) == (401, 401)


def test_a_refused_service_token_is_the_operators_to_learn_of_and_logs_name_nobody(
    whole_stack: Stack, tmp_path: Path
) -> None:
    """Threat 79: neither tokens nor projects nor people, in any log or metric."""
    gitlab, service = whole_stack.gitlab, service_token(whole_stack.gitlab)
    with taking_jobs(tmp_path, gitlab, whole_stack.mlflow, service=service, cached=0.4) as tenants:
        stack, project = tenants.stack, tenants.project()
        user, human = project.member(DEVELOPER), project.developer()
        developer, guest = project.caller(minted(project, user)), job(project, GUEST)
        ended, elsewhere = job(project, iat=ago(1_000)), job(project, audience="x")
        fork = job(project, job_project_path="another/fork")
        assert (may(developer), may(guest), may(human)) == (WRITES, READS, WRITES)
        assert may(fork) == (403, 403)
        assert may(ended) == may(elsewhere) == (401, 401)
        assert reads(developer.in_view_of(tenants.project().developer())).status == 404
        gitlab.revoke(service)
        eventually(lambda: may(developer), (503, 503))
        for answer in (reads(developer), writes(developer), reads(job(project))):
            assert "Tell the administrator" in is_an_outage(answer)
        assert may(human) == WRITES
        with urlopen(f"http://127.0.0.1:{stack.edge.admin_port}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
    edge, envoy = stack.edge.log.read_text(), stack.envoy.log.read_text()
    assert "job.service_token_refused" in edge
    assert (
        'extauthz_checks_total{decision="refused",reason="unavailable",view="project"}' in metrics
    )
    assert envoy.count('"request.done"') > 10
    secrets = [service, project.path.partition("/")[0], user, "another/fork"]
    for caller in (developer, guest, human, ended, elsewhere, fork):
        secrets += secret_of(caller).split(".")[-2:]
    for text in (edge, envoy, metrics, whole_stack.mlflow.log.read_text()):
        assert not [secret for secret in secrets if secret in text]
