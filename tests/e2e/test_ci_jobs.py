"""CI jobs with GitLab's id_token: MLflow's own client, as .gitlab-ci.yml of the README has it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from typing import Any

import pytest
from joserfc import jws

from tests.caller import Caller
from tests.ci_jobs import AUDIENCE, TRAIN, job, minted, secret_of, service_token, taking_jobs
from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST
from tests.oidc_client import Client
from tests.servers.envoy import Answer
from tests.servers.stack import Stack
from tests.signing_in import signed_in
from tests.tenants import Project, Tenants, unique

KEYS = "/oauth/discovery/keys"
READS, WRITES = (200, 403), (200, 200)


@pytest.fixture(scope="module")
def jobs(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    """Before an edge that believes GitLab for longer than the tests take."""
    gitlab, folder = whole_stack.gitlab, tmp_path_factory.mktemp("jobs")
    service = service_token(gitlab)
    with taking_jobs(folder, gitlab, whole_stack.mlflow, service=service, cached=600) as tenants:
        yield tenants


@pytest.fixture
def project(jobs: Tenants) -> Project:
    return jobs.project()


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


def is_refused(answer: Answer, status: int, code: str, caller: Caller) -> str:
    """Hold that it is a refusal that repeats nothing; returns its message."""
    assert (answer.status, answer.json()["error_code"]) == (status, code)
    assert answer.json().keys() == {"error_code", "message"}
    assert secret_of(caller) not in answer.body.decode()
    assert ("www-authenticate" in answer.headers) is (status == 401)
    return str(answer.json()["message"])


def uri_in(project: Project) -> str:
    """Return the tracking URI of the README's job, at the address of this test's Envoy."""
    uri = TRAIN["variables"]["MLFLOW_TRACKING_URI"].replace("$CI_PROJECT_PATH", project.path)
    return str(uri).replace(AUDIENCE, f"http://127.0.0.1:{project.tenants.stack.envoy.port}")


def test_the_readme_has_what_a_job_needs_and_no_more() -> None:
    assert TRAIN.keys() == {"id_tokens", "variables", "script"}
    assert TRAIN["id_tokens"] == {"MLFLOW_TRACKING_TOKEN": {"aud": "https://mlflow.example.com"}}
    uri = f"{AUDIENCE}/$CI_PROJECT_PATH/tracking"
    assert TRAIN["variables"] == {"MLFLOW_TRACKING_URI": uri}
    assert isinstance(TRAIN["script"], str)


def test_mlflows_client_does_everything_in_a_developers_job(
    project: Project, tmp_path: Path
) -> None:
    gitlab, token = project.tenants.stack.gitlab, minted(project, project.member(DEVELOPER))
    gitlab.forget_calls()
    done = run_client("develop", uri=uri_in(project), folder=tmp_path, MLFLOW_TRACKING_TOKEN=token)
    assert len(gitlab.calls("/api/")) == 1
    assert (done["experiments"], done["registered"]) == (["detector"], ["detector"])
    assert (done["runs"], done["predicted"]) == ([done["run_id"]], [2, 42])
    run = project.guest().get("runs/get", run_id=done["run_id"])["run"]["info"]
    assert run["status"] == "FINISHED"
    assert run["artifact_uri"].startswith(f"mlflow-artifacts:/workspaces/p{project.id}/")


def test_mlflows_client_reads_in_a_guests_job(project: Project, tmp_path: Path) -> None:
    project.developer().post("experiments/create", name="there")
    token = minted(project, project.member(GUEST))
    arguments: dict[str, Any] = {"uri": uri_in(project), "folder": tmp_path}
    found = run_client("search", **arguments, MLFLOW_TRACKING_TOKEN=token)
    assert found["names"] == ["there"]
    tried = run_client("create", "mine", **arguments, MLFLOW_TRACKING_TOKEN=token)
    assert "Read only: your role in this GitLab project only reads" in tried["failed"]
    assert names(project.guest()) == ["there"]


def test_a_job_is_at_home_in_its_project_alone(jobs: Tenants, project: Project) -> None:
    user, other = project.member(DEVELOPER), jobs.project()
    jobs.stack.gitlab.add_member(other.path, user, DEVELOPER)
    other.developer().post("experiments/create", name="secret")
    token, kept = minted(project, user), jobs.stack.mlflow.contents()
    for path in (other.path, project.path.partition("/")[0] + "/other", f"{project.path}/inner"):
        caller = project.caller(token, path=path)
        for answer in (reads(caller), writes(caller)):
            is_refused(answer, 404, "RESOURCE_DOES_NOT_EXIST", caller)
    everywhere = jobs.everywhere(token)
    for answer in (reads(everywhere), writes(everywhere)):
        message = is_refused(answer, 403, "PERMISSION_DENIED", everywhere)
        assert "MLFLOW_TRACKING_URI end with /$CI_PROJECT_PATH/tracking" in message
    assert jobs.stack.mlflow.contents() == kept
    assert may(project.caller(token)) == WRITES
    assert may(project.caller(token, path=project.path.upper())) == WRITES


@pytest.mark.parametrize(
    ("level", "expected"), [(0, (404, 404)), (5, (404, 404)), (GUEST, READS), (DEVELOPER, WRITES)]
)
def test_a_job_may_do_what_whoever_started_it_may(
    project: Project, level: int, expected: tuple[int, int]
) -> None:
    assert may(job(project, level)) == expected


@pytest.mark.parametrize("side", ["", "job_"])
def test_the_job_of_a_forks_merge_request_is_refused_on_both_sides(
    jobs: Tenants, project: Project, side: str
) -> None:
    """Threat 49: its code is the fork's, and it runs in the other project."""
    user, fork = project.member(DEVELOPER), jobs.project()
    jobs.stack.gitlab.add_member(fork.path, user, DEVELOPER)
    elsewhere = {f"{side}project_id": str(fork.id), f"{side}project_path": fork.path}
    token, kept = minted(project, user, **elsewhere), jobs.stack.mlflow.contents()
    for path in (project.path, fork.path):
        caller = project.caller(token, path=path)
        for answer in (reads(caller), writes(caller)):
            assert "fork" in is_refused(answer, 403, "PERMISSION_DENIED", caller)
    assert jobs.stack.mlflow.contents() == kept


def not_taken(project: Project, token: str) -> None:
    """Hold that a token is no credential, and that GitLab never gets to see it."""
    stack = project.tenants.stack
    stack.gitlab.forget_calls()
    kept = stack.mlflow.contents()
    for caller in (project.caller(token), project.tenants.everywhere(token)):
        for answer in (reads(caller), writes(caller)):
            if caller.prefix:
                is_refused(answer, 401, "UNAUTHENTICATED", caller)
            assert answer.status in (401, 403)
    assert stack.gitlab.calls("/api/") == []
    assert stack.mlflow.contents() == kept


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": -900, "exp": 86_400},
        {"iat": -300, "exp": -60},
        {"iat": 120, "nbf": 120, "exp": 3_600},
        {"exp": None},
        {"iat": None},
        {"iss": "http://127.0.0.1:9"},
        {"iss": None},
        {"project_id": None},
        {"user_id": None},
    ],
    ids=str,
)
def test_a_token_that_is_too_old_or_from_elsewhere_is_no_credential(
    project: Project, claims: Mapping[str, Any]
) -> None:
    """Threats 48 and 50: `exp` far in the future makes it no younger."""
    now = int(time())
    given: dict[str, Any] = {
        name: now + each if isinstance(each, int) else each for name, each in claims.items()
    }
    not_taken(project, minted(project, project.member(DEVELOPER), **given))


FORGED: dict[str, dict[str, Any]] = {
    "no signature": {"algorithm": "none"},
    "the public key as a secret": {"algorithm": "HS256"},
    "a key that nobody publishes": {"unpublished_key": True},
    "a key to fetch": {"header": {"jku": "http://127.0.0.1:9/keys"}},
    "a key of its own": {"header": {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}},
    "a certificate of its own": {"header": {"x5u": "http://127.0.0.1:9/x5u"}},
    "no key id": {"header": {"kid": None}},
    "no algorithm": {"header": {"alg": "none"}, "algorithm": "HS256"},
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_token_that_gitlab_did_not_sign_is_no_credential(project: Project, forged: str) -> None:
    """Threat 48: CVE-2026-28802, CVE-2026-27962, CVE-2026-96760, CVE-2026-114615."""
    gitlab, user = project.tenants.stack.gitlab, project.member(DEVELOPER)
    gitlab.tamper(**FORGED[forged])
    try:
        token = minted(project, user)
    finally:
        gitlab.tamper()
    not_taken(project, token)


def test_a_token_with_the_id_of_another_key_is_no_credential(project: Project) -> None:
    """Threat 48: the key of logins is published, too, and is not the one that signed."""
    gitlab, user = project.tenants.stack.gitlab, project.member(DEVELOPER)
    own = jws.extract_compact(minted(project, user).encode()).headers()["kid"]
    published = [key["kid"] for key in Client(gitlab, "", "").jwks()]
    assert own in published
    assert len(published) > 1
    for kid in published:
        gitlab.tamper(header={"kid": kid}, unpublished_key=kid == own)
        try:
            token = minted(project, user)
        finally:
            gitlab.tamper()
        not_taken(project, token)


def test_what_follows_a_signed_token_or_is_missing_from_it_spoils_it(project: Project) -> None:
    token = minted(project, project.member(DEVELOPER))
    header, payload, signature = token.split(".")
    for forged in (f"{header}.{payload}.", f"{header}.{payload}.{signature[:-8]}AAAAAAAA"):
        not_taken(project, forged)
    assert may(project.caller(token)) == WRITES


def test_a_token_for_another_service_is_gitlabs_to_refuse(project: Project) -> None:
    """Threat 48. Without its many claims it is no longer than tokens of GitLab may be."""
    user = project.member(DEVELOPER)
    short: dict[str, Any] = dict.fromkeys(
        [
            *("job_source", "job_project_id", "job_project_path", "job_namespace_id"),
            *("job_namespace_path", "ci_config_ref_uri", "ci_config_sha", "sha", "jti", "sub"),
            *("runner_id", "runner_environment", "project_visibility", "pipeline_source"),
            *("pipeline_id", "ref_path", "ref_type", "groups_direct", "user_email", "job_id"),
        ]
    )
    others: list[str | list[str]] = ["https://vault.example.com", f"{AUDIENCE}/", "", []]
    for audience in (*others, AUDIENCE.upper()):
        for claims in ({}, short):
            caller = project.caller(minted(project, user, audience=audience, **claims))
            for answer in (reads(caller), writes(caller)):
                is_refused(answer, 401, "UNAUTHENTICATED", caller)
    assert len(minted(project, user, audience="x", **short)) < 1024
    several = minted(project, user, audience=["https://vault.example.com", AUDIENCE])
    assert may(project.caller(several)) == WRITES


def test_a_token_may_come_as_any_other_and_never_gives_way(jobs: Tenants, project: Project) -> None:
    """Threat 22, and: a bad token on purpose does not make a session count."""
    user = project.member(DEVELOPER)
    token, nobody = minted(project, user), Caller(jobs.stack.envoy.port, job(project).prefix, ())
    basic = b64encode(f"gitlab-ci-token:{token}".encode()).decode()
    ways = [("Authorization", f"Bearer {token}"), ("Authorization", f"Basic {basic}")]
    ways += [("PRIVATE-TOKEN", token), ("X-Gitlab-Token", token)]
    for way in ways:
        assert may(nobody.sending(way)) == WRITES
        assert may(nobody.sending(way, ("Private-Token", minted(project, user)))) == (400, 400)
    page = ("Origin", jobs.stack.public_url)
    for useless in (("JOB-TOKEN", token), ("Cookie", f"mlflow-session={token}")):
        assert may(nobody.sending(useless, page)) == (401, 401)
    session = signed_in(jobs.stack, user, nobody.prefix)
    assert may(session) == WRITES
    ended = minted(project, user, iat=ago(1_000))
    assert may(session.sending(("Authorization", f"Bearer {ended}"))) == (401, 401)


def test_all_jobs_of_a_project_cost_gitlab_one_call_and_a_known_one_none(project: Project) -> None:
    """A token that GitLab got to see would be refused there: the one call is the server's own."""
    gitlab, user = project.tenants.stack.gitlab, project.member(DEVELOPER)
    callers = [project.caller(minted(project, user)) for _ in range(30)]
    gitlab.forget_calls()
    assert {writes(caller).status for caller in callers} == {200}
    (call,) = gitlab.calls("/api/")
    assert call.operation == "currentUser,project"
    assert not set(call.headers) & {"private-token", "job-token", "cookie"}
    rest = [each for each in gitlab.calls() if each != call]
    assert {each.path for each in rest} <= {KEYS}
    assert not [each for each in rest if "authorization" in each.headers]
    gitlab.forget_calls()
    assert {may(caller) for caller in callers} == {WRITES}
    assert gitlab.calls() == []
