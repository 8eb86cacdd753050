"""What only the edge may say, said by a client: nothing comes of it."""

from collections.abc import Iterator

import pytest

from extauthz.grant import HEADER, Grant, View, Why
from tests.caller import Caller
from tests.gitlab import DEVELOPER, GUEST
from tests.servers.envoy import Answer
from tests.servers.mlflow import INSTANCE, MLflow, project
from tests.tenants import Project, Tenants

NAME = "extauthz_spoofed"


def creates(caller: Caller) -> Answer:
    return caller.call("POST experiments/create", name=NAME)


def names_found(caller: Caller) -> list[str]:
    found = caller.post("experiments/search", max_results=100)
    return [experiment["name"] for experiment in found.get("experiments", [])]


@pytest.fixture
def theirs(tenants: Tenants) -> Project:
    """A project with an experiment, in which nobody of the test is a member."""
    made = tenants.project()
    made.developer().post("experiments/create", name="secret")
    return made


def grants(theirs: Project, ours: Project, server: MLflow) -> Iterator[str]:
    """Yield grants that MLflow would believe."""
    yield server.signer.sign(project(theirs.id))
    yield server.signer.sign(project(ours.id))
    everything = tuple(sorted((ours.id, theirs.id)))
    for view in (
        Grant(view=View.GLOBAL, instance=INSTANCE, why=Why.GLOBAL, projects=everything),
        Grant(view=View.SYSTEM, instance=INSTANCE),
    ):
        yield server.signer.sign(view)


@pytest.mark.parametrize("header", [HEADER, HEADER.upper(), HEADER.title()])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_genuine_grant_from_a_client_gives_nothing(
    tenants: Tenants, theirs: Project, header: str, copies: int
) -> None:
    """Threats 17 and 18."""
    ours, server = tenants.project(), tenants.stack.mlflow
    guest = ours.guest()
    assert names_found(guest) == []
    nobody = Caller(guest.port, guest.prefix, ())
    before = server.contents()
    for grant in grants(theirs, ours, server):
        spoofing = [(header, grant)] * copies
        assert creates(guest.sending(*spoofing)).status == 403
        assert names_found(guest.sending(*spoofing)) == []
        assert creates(nobody.sending(*spoofing)).status == 401
        assert guest.sending(*spoofing).send("GET", "/extauthz/v1/projects").status == 404
    assert server.contents() == before


def test_a_workspace_named_by_a_client_is_ignored(tenants: Tenants, theirs: Project) -> None:
    """Threats 23 and 115."""
    ours = tenants.project()
    developer = ours.developer().sending(("X-MLFLOW-WORKSPACE", f"p{theirs.id}"))
    before = names_found(theirs.guest())
    assert creates(developer).status == 200
    assert names_found(developer) == [NAME]
    assert names_found(theirs.guest()) == before == ["secret"]
    empty = developer.sending(("X-MLFLOW-WORKSPACE", ""))
    assert names_found(empty) == [NAME]


@pytest.mark.parametrize(
    "header", ["x_extauthz_grant", "X-Extauthz_Grant", "x_mlflow_workspace", "X-MLFLOW_WORKSPACE"]
)
def test_an_underscore_twin_is_refused(tenants: Tenants, theirs: Project, header: str) -> None:
    """Threat 19, CVE-2025-64484."""
    developer, server = tenants.project().developer(), tenants.stack.mlflow
    before = server.contents()
    for value in (server.signer.sign(project(theirs.id)), f"p{theirs.id}"):
        assert creates(developer.sending((header, value))).status == 400
    assert server.contents() == before
    assert creates(developer).status == 200


def test_two_credentials_are_refused_whichever_comes_first(tenants: Tenants) -> None:
    """Threats 21 and 22, CVE-2021-32777, CVE-2026-26308."""
    ours = tenants.project()
    developer, guest = (tenants.token(ours.member(level)) for level in (DEVELOPER, GUEST))
    before = tenants.stack.mlflow.contents()
    for first, second in ((developer, guest), (guest, developer), (developer, developer)):
        caller = ours.caller(first)
        assert creates(caller.sending(("Authorization", f"Bearer {second}"))).status == 400
    for name in ("PRIVATE-TOKEN", "X-Gitlab-Token"):
        assert creates(ours.caller(guest).sending((name, developer))).status == 400
    assert tenants.stack.mlflow.contents() == before
    assert creates(ours.caller(developer).sending(("PRIVATE-TOKEN", developer))).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/version",
        "/static-files/index.html",
        "/graphql",
        "/api/2.0/mlflow/experiments/search",
        "/ajax-api/2.0/mlflow/experiments/search",
        "//api/2.0/mlflow/experiments/search",
        "/api/2.0/mlflow/experiments%2Fsearch",
        "/api/2.0/mlflow-artifacts/artifacts/1/a",
        "/api/3.0/mlflow/server-info",
        "/api/3.0/mlflow/workspaces",
        "/v1/traces",
        "/gateway/x",
        "/extauthz/v1/projects",
        "/health/",
    ],
)
def test_mlflow_itself_serves_nobody(tenants: Tenants, theirs: Project, target: str) -> None:
    """Threats 28 and 37."""
    port = tenants.stack.mlflow.port
    token = tenants.token(theirs.member(DEVELOPER))
    before = tenants.stack.mlflow.contents()
    for caller in (
        Caller(port, "", ()),
        Caller.with_token(port, "", token),
        Caller(port, "", (("X-MLFLOW-WORKSPACE", f"p{theirs.id}"),)),
        Caller(port, "", ((HEADER, tenants.stack.mlflow.signer.sign(project(theirs.id))),) * 2),
    ):
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = caller.send(method, target, None if method == "GET" else {})
            assert (answer.status, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert tenants.stack.mlflow.contents() == before
    assert Caller(port, "", ()).send("GET", "/health").status == 200


def test_a_role_is_not_what_a_client_says(tenants: Tenants) -> None:
    """Threats 23, 25 and 38."""
    guest = tenants.project().guest()
    for header in (
        ("X-HTTP-Method-Override", "GET"),
        ("X-Forwarded-User", "root"),
        ("X-Original-Uri", "/api/2.0/mlflow/experiments/search"),
        ("X-Envoy-Original-Path", "/api/2.0/mlflow/experiments/search"),
        ("X-Forwarded-Host", "evil.test"),
        ("Forwarded", "host=evil.test"),
        ("Connection", f"keep-alive, {HEADER}"),
    ):
        assert creates(guest.sending(header)).status == 403, header
    assert names_found(guest) == []
