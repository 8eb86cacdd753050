"""Projects and files named like something else are decided on, forwarded and stored as one.

The corpus of spellings before a recording upstream is in test_edge; here MLflow itself is behind.
"""

from urllib.parse import quote, unquote

import pytest

from tests.caller import Caller
from tests.gitlab import DEVELOPER, GUEST
from tests.polling import eventually
from tests.tenants import Project, Tenants, unique

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"


def marked(project: Project) -> Caller:
    """Make an experiment that tells the project from others; returns a developer."""
    developer = project.developer()
    developer.post("experiments/create", name=f"of-{project.id}")
    return developer


def seen(caller: Caller) -> list[str]:
    """Return the experiments of the project that a caller's requests reach."""
    answer = caller.call("POST experiments/search", max_results=100)
    if answer.status != 200:
        return [str(answer.status)]
    return [experiment["name"] for experiment in answer.json().get("experiments", [])]


@pytest.mark.parametrize(
    "path",
    [
        "{}/tracking",
        "{}/tracking/tracking",
        "{}/tracking/auth",
        "{}/auth/tracking",
        "{}/health",
        "{}/graphql",
        "{}/version",
        "{}/api",
        "{}/api/2.0",
        "{}/api/2.0/mlflow",
        "{}/ajax-api/3.0",
        "{}/static-files",
        "{}/get-artifact",
        "{}/v1/traces",
        "{}/model-versions/get-artifact",
        "{}/extauthz/v1",
        "{}/a.b/c_d-e",
        "{}/1/2",
        "{}/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/project",
    ],
)
def test_a_project_may_be_named_after_mlflows_own_paths(tenants: Tenants, path: str) -> None:
    group = unique("group")
    project, other = tenants.project(path.format(group)), tenants.project(f"{group}/other")
    marked(other)
    assert seen(marked(project)) == [f"of-{project.id}"]
    stranger = project.caller(tenants.token(other.member(DEVELOPER)))
    assert seen(stranger) == ["404"]


def test_top_level_groups_named_like_mlflows_paths(tenants: Tenants) -> None:
    for group in ("tracking", "auth", "graphql", "health", "v1", "version"):
        project = tenants.project(f"{group}/{unique('tracking')}")
        assert seen(marked(project)) == [f"of-{project.id}"]


def test_letter_case_makes_no_difference(tenants: Tenants) -> None:
    """Threat 40."""
    project = tenants.project(f"{unique('Group')}/Project")
    marked(project)
    token = tenants.token(project.member(GUEST))
    for path in (project.path.lower(), project.path.upper(), project.path.swapcase()):
        assert seen(project.caller(token, path=path)) == [f"of-{project.id}"]


def test_a_moved_project_keeps_what_it_has_and_the_freed_path_starts_empty(
    tenants: Tenants,
) -> None:
    """Threat 41: GitLab answers 301 for an old path, until another project takes it."""
    gitlab, project = tenants.stack.gitlab, tenants.project()
    old, new = project.path, f"{unique('elsewhere')}/moved"
    token = marked(project).headers[0][1].removeprefix("Bearer ")
    at_old, at_new = project.caller(token, path=old), project.caller(token, path=new)
    gitlab.move_project(old, new)
    assert seen(at_new) == seen(at_old) == [f"of-{project.id}"]
    newcomer = tenants.user()
    gitlab.add_member(new, newcomer, GUEST)
    for path in (old, new):
        caller = project.caller(tenants.token(newcomer), path=path)
        assert seen(caller) == [f"of-{project.id}"]
    squatter = tenants.project(old)
    assert squatter.id != project.id
    assert seen(squatter.developer()) == []
    eventually(lambda: seen(at_old), ["404"])
    assert seen(squatter.developer()) == []
    assert seen(at_new) == [f"of-{project.id}"]


# What is sent below the artifacts of a run, and the name of the file that must come of it.
KEPT = {
    name: unquote(name)
    for name in (
        "plain.txt",
        "a/tracking/b.txt",
        "other/secret/tracking/health",
        "api/2.0/mlflow/experiments/search",
        "extauthz/v1/projects",
        "100%25",
        "caf%C3%A9%20x",
        "a%3Fb",
        "a%3Bb",
        "a+b",
        "a&b=c",
        "x%26y",
        "%E2%98%83",
        "~x",
        "a%20b%20",
        "-",
        "a'b%22c",
    )
} | {"a//b": "a/b", "a/./b": "a/b", "a/x/../b": "a/b", "a\\b": "a/b", "%41": "A"}
REFUSED = [
    "a:b",
    "file:x",
    "%20a",
    "a%23b",
    "a;b",
    "%252e%252e",
    "a%2525",
    "%252e%252e%252fx",
    "%C0%AE",
    "a%0Ab",
    "a%00",
    "a%7Fb",
    "..%2fx",
    "..%5cx",
    "a%zz",
]


def run_of(caller: Caller) -> str:
    """Make a run; returns the root of its artifacts."""
    experiment = caller.post("experiments/create", name=unique("experiment"))["experiment_id"]
    run = caller.post("runs/create", experiment_id=experiment)["run"]["info"]
    return str(run["artifact_uri"]).removeprefix("mlflow-artifacts:/")


@pytest.mark.parametrize("sent", KEPT)
def test_a_file_is_stored_under_the_name_that_was_sent(tenants: Tenants, sent: str) -> None:
    """Threats 31 to 35."""
    developer = tenants.project().developer()
    root, content = run_of(developer), sent.encode()
    assert developer.send("PUT", f"{ARTIFACTS}{root}/{sent}", content).status == 200
    folder = tenants.stack.mlflow.folder / "artifacts" / root
    stored = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert stored == {KEPT[sent]}
    assert (folder / KEPT[sent]).read_bytes() == content
    assert developer.send("GET", f"{ARTIFACTS}{root}/{sent}").body == content
    run = root.split("/")[-2]
    parent = KEPT[sent].rpartition("/")[0]
    listed = developer.get("artifacts/list", run_id=run, path=parent)["files"]
    assert [file["path"] for file in listed] == [KEPT[sent]]
    got = developer.send("GET", f"/get-artifact?run_uuid={run}&path={quote(KEPT[sent], safe='')}")
    assert (got.status, got.body) == (200, content)


@pytest.mark.parametrize("sent", REFUSED)
def test_a_file_whose_name_has_two_readings_is_refused(tenants: Tenants, sent: str) -> None:
    """Threats 32 to 35 and 88."""
    developer = tenants.project().developer()
    root = run_of(developer)
    before = tenants.stack.mlflow.contents()
    for method, content in (("PUT", b"x"), ("GET", None), ("DELETE", None)):
        answer = developer.send(method, f"{ARTIFACTS}{root}/{sent}", content)
        assert answer.status == 400, answer.body
    assert tenants.stack.mlflow.contents() == before


@pytest.mark.parametrize(
    "climb",
    ["../../../../..", "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e", "./../.././../../../..", "..;"],
)
def test_no_path_climbs_out_of_a_run(tenants: Tenants, climb: str) -> None:
    """Threats 31, 33, 87 and 88."""
    developer, owner = tenants.project().developer(), tenants.project().developer()
    root, theirs = run_of(developer), run_of(owner)
    assert owner.send("PUT", f"{ARTIFACTS}{theirs}/secret.txt", b"a secret").status == 200
    before = tenants.stack.mlflow.contents()
    for method, content in (("GET", None), ("PUT", b"x"), ("DELETE", None)):
        answer = developer.send(method, f"{ARTIFACTS}{root}/{climb}/{theirs}/secret.txt", content)
        assert answer.status in (400, 403, 404), (method, answer.body)
        assert b"a secret" not in answer.body
    assert tenants.stack.mlflow.contents() == before
