from time import time

import pytest
from joserfc.errors import BadSignatureError

from tests.gitlab import DEVELOPER, SECURITY_MANAGER, GitLab, Refused
from tests.oidc_client import Client

AUDIENCE = "https://mlflow.example.com"


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    running.create_user("ann")
    running.create_project("acme/vision", id=42)
    running.add_member("acme", "ann", DEVELOPER)
    return running


@pytest.fixture
def client(gitlab: GitLab) -> Client:
    return Client.registered(gitlab)


def test_a_jobs_token_says_who_runs_what_where(gitlab: GitLab, client: Client) -> None:
    claims = client.verified(gitlab.mint_id_token("acme/vision", "ann", AUDIENCE))

    assert (claims["iss"], claims["aud"]) == (gitlab.url, AUDIENCE)
    assert claims["sub"] == "project_path:acme/vision:ref_type:branch:ref:main"
    assert (claims["project_id"], claims["project_path"]) == ("42", "acme/vision")
    assert (claims["namespace_id"], claims["namespace_path"]) == ("1", "acme")
    assert (claims["job_project_id"], claims["job_project_path"]) == ("42", "acme/vision")
    assert (claims["job_namespace_id"], claims["job_namespace_path"]) == ("1", "acme")
    assert (claims["user_id"], claims["user_login"]) == ("1", "ann")
    assert (claims["user_email"], claims["user_access_level"]) == ("ann@example.com", "developer")
    assert (claims["ref"], claims["ref_path"]) == ("main", "refs/heads/main")
    assert (claims["ref_type"], claims["ref_protected"]) == ("branch", "true")
    assert claims["project_visibility"] == "private"
    assert claims["groups_direct"] == ["acme"]


def test_every_documented_claim_is_there(gitlab: GitLab, client: Client) -> None:
    claims = client.verified(gitlab.mint_id_token("acme/vision", "ann", AUDIENCE))

    assert claims.keys() >= {
        *("pipeline_id", "pipeline_source", "job_id", "job_source", "runner_id"),
        *("runner_environment", "sha", "ci_config_ref_uri", "ci_config_sha"),
        *("jti", "exp", "nbf", "iat"),
    }
    assert all(isinstance(claims[name], str) for name in claims if name.endswith("project_id"))


def test_it_lives_as_long_as_the_job_may_run(gitlab: GitLab, client: Client) -> None:
    claims = client.verified(gitlab.mint_id_token("acme/vision", "ann", AUDIENCE, timeout=600))

    assert claims["exp"] - claims["iat"] == 600
    assert claims["nbf"] <= claims["iat"] <= time()


def test_the_key_of_jobs_is_not_the_key_of_logins(gitlab: GitLab, client: Client) -> None:
    ids = gitlab.rotate_keys()

    assert len(set(ids.values())) == 2
    assert {key["kid"] for key in client.jwks()} == set(ids.values())


@pytest.mark.parametrize(
    ("level", "name"), [(SECURITY_MANAGER, "security manager"), (35, None), (0, None)]
)
def test_a_level_is_told_in_words_if_it_has_any(
    gitlab: GitLab, client: Client, level: int, name: str | None
) -> None:
    gitlab.add_member("acme", "ann", level)

    claims = client.verified(gitlab.mint_id_token("acme/vision", "ann", AUDIENCE))
    assert claims["user_access_level"] == name


def test_a_personal_projects_namespace_is_its_owner(gitlab: GitLab, client: Client) -> None:
    gitlab.create_project("ann/notebook")

    claims = client.verified(gitlab.mint_id_token("ann/notebook", "ann", AUDIENCE))
    assert (claims["namespace_path"], claims["user_access_level"]) == ("ann", "owner")


def test_claims_are_overridden_for_forks_and_worse(gitlab: GitLab, client: Client) -> None:
    token = gitlab.mint_id_token(
        "acme/vision",
        "ann",
        [AUDIENCE, "x"],
        project_path="ann/fork",
        ref_protected="false",
        nbf=None,
    )

    claims = client.verified(token)
    assert (claims["project_path"], claims["job_project_path"]) == ("ann/fork", "acme/vision")
    assert (claims["ref_protected"], claims["aud"]) == ("false", [AUDIENCE, "x"])
    assert "nbf" not in claims


def test_it_is_tampered_with_like_any_other(gitlab: GitLab, client: Client) -> None:
    gitlab.tamper(unpublished_key=True)

    with pytest.raises(BadSignatureError):
        client.verified(gitlab.mint_id_token("acme/vision", "ann", AUDIENCE))


def test_it_is_no_credential_for_gitlab_itself(gitlab: GitLab, client: Client) -> None:
    token = gitlab.mint_id_token("acme/vision", "ann", AUDIENCE)

    assert client.get("/api/v4/user", token).status == 401


def test_a_job_needs_a_project_and_a_user(gitlab: GitLab) -> None:
    with pytest.raises(Refused, match="there is no project"):
        gitlab.mint_id_token("acme/none", "ann", AUDIENCE)
    with pytest.raises(Refused, match="there is no user"):
        gitlab.mint_id_token("acme/vision", "eve", AUDIENCE)
