"""Every kind of GitLab token, and every way to send one."""

from base64 import b64encode
from pathlib import Path

import pytest

from tests.caller import Caller
from tests.client import run_client
from tests.gitlab import DEVELOPER, GUEST, MAINTAINER, REPORTER
from tests.tenants import Project, Tenants, unique


def reads(caller: Caller) -> int:
    return caller.call("POST experiments/search", max_results=1).status


def writes(caller: Caller) -> int:
    return caller.call("POST experiments/create", name=unique("experiment")).status


@pytest.fixture
def project(tenants: Tenants) -> Project:
    return tenants.project()


@pytest.mark.parametrize("kind", ["personal", "oauth"])
@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [
        (("api",), 200, 200),
        (("read_user", "read_api", "api"), 200, 200),
        (("read_api",), 200, 403),
        (("read_api", "write_repository"), 200, 403),
    ],
)
def test_a_token_writes_with_the_scope_api_only(
    project: Project, kind: str, scopes: tuple[str, ...], read: int, write: int
) -> None:
    """Threat 45."""
    token = project.tenants.token(project.member(MAINTAINER), scopes=scopes, kind=kind)
    caller = project.caller(token)
    assert (reads(caller), writes(caller), reads(caller)) == (read, write, read)
    if write == 403:
        answer = caller.call("POST experiments/create", name="new")
        assert "your access token only reads" in answer.json()["message"]


@pytest.mark.parametrize("scopes", [("read_user",), ("openid", "email"), ("read_repository",)])
@pytest.mark.parametrize(("kind", "refusal"), [("personal", 403), ("oauth", 401)])
def test_a_token_that_may_not_ask_gitlab_is_refused_with_a_hint(
    project: Project, kind: str, refusal: int, scopes: tuple[str, ...]
) -> None:
    token = project.tenants.token(project.member(DEVELOPER), scopes=scopes, kind=kind)
    caller = project.caller(token)
    assert (reads(caller), writes(caller)) == (refusal, refusal)
    answer = caller.call("POST experiments/search", max_results=1)
    assert "scope `api`" in answer.json()["message"]


def test_access_tokens_of_projects_and_groups_have_the_level_they_were_made_with(
    tenants: Tenants,
) -> None:
    group = unique("group")
    project, sibling = (tenants.project(f"{group}/{name}") for name in ("one", "two"))
    gitlab = tenants.stack.gitlab
    for path, level, expected, next_door in (
        (project.path, DEVELOPER, (200, 200), 404),
        (project.path, GUEST, (200, 403), 404),
        (group, MAINTAINER, (200, 200), 200),
        (group, REPORTER, (200, 403), 200),
    ):
        token = gitlab.access_token(path, level)
        caller = project.caller(token)
        assert (reads(caller), writes(caller)) == expected
        assert reads(sibling.caller(token)) == next_door
    reading = gitlab.access_token(project.path, DEVELOPER, scopes=("read_api",))
    assert (reads(project.caller(reading)), writes(project.caller(reading))) == (200, 403)


def test_a_fine_grained_token_reads(project: Project) -> None:
    user = project.member(MAINTAINER)
    token = project.tenants.stack.gitlab.token(user, permissions=["Project: Read"])
    assert (reads(project.caller(token)), writes(project.caller(token))) == (200, 403)


def test_a_token_that_is_over_is_no_credential(project: Project) -> None:
    gitlab, user = project.tenants.stack.gitlab, project.member(DEVELOPER)
    for token in (
        gitlab.token(user, revoked=True),
        gitlab.token(user, expires_in=-86_400 * 2),
        gitlab.token(user, kind="oauth", expires_in=-5),
        gitlab.token(user, kind="job"),
        "gldt-a-deploy-token-of-somebody",
        "glpat-made-up-by-somebody",
        "x" * 64,
        "x" * 5_000,
        "",
    ):
        caller = project.caller(token)
        assert (reads(caller), writes(caller)) == (401, 401)


def basic(token: str, user: str = "") -> tuple[str, str]:
    return "Authorization", f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}"


def test_a_token_may_come_in_any_header_that_gitlab_users_know(project: Project) -> None:
    token = project.tenants.token(project.member(DEVELOPER))
    nobody = Caller(project.developer().port, project.developer().prefix, ())
    for header in (
        ("Authorization", f"Bearer {token}"),
        ("authorization", f"bearer {token}"),
        basic(token),
        basic(token, "oauth2"),
        basic(token, "somebody@example.com"),
        ("PRIVATE-TOKEN", token),
        ("X-Gitlab-Token", token),
    ):
        caller = nobody.sending(header)
        assert (reads(caller), writes(caller)) == (200, 200), header
    for header in (
        ("Authorization", f"Token {token}"),
        ("Authorization", token),
        ("JOB-TOKEN", token),
        ("Cookie", f"mlflow-session={token}"),
        basic("a password", "somebody"),
    ):
        caller = nobody.sending(header)
        assert (reads(caller), writes(caller)) == (401, 401), header
    assert (reads(nobody), writes(nobody)) == (401, 401)


def test_gitlab_gets_the_token_as_a_bearer_however_it_came(project: Project) -> None:
    gitlab, user = project.tenants.stack.gitlab, project.member(DEVELOPER)
    nobody = Caller(project.developer().port, project.developer().prefix, ())
    for header in (basic, lambda token: ("PRIVATE-TOKEN", token)):
        gitlab.forget_calls()
        assert reads(nobody.sending(header(project.tenants.token(user)))) == 200
        calls = gitlab.calls()
        assert calls
        assert all("authorization" in call.headers for call in calls)
        assert not [call for call in calls if "private-token" in call.headers]


def test_mlflows_client_may_send_the_token_as_a_password(project: Project, tmp_path: Path) -> None:
    """The client prefers Basic, when it has both."""
    project.developer().post("experiments/create", name="there")
    token = project.tenants.token(project.member(GUEST))
    found = run_client(
        "search",
        uri=project.caller(token).uri,
        folder=tmp_path,
        MLFLOW_TRACKING_USERNAME="anybody",
        MLFLOW_TRACKING_PASSWORD=token,
        MLFLOW_TRACKING_TOKEN="glpat-not-this-one",
    )
    assert found["names"] == ["there"]
