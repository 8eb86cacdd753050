"""Which projects paths mean: asked of GitLab, or read from a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from extauthz.edge.settings import SettingsError
from extauthz.migrate.errors import Failed
from extauthz.migrate.gitlab import Asked
from extauthz.migrate.projects import Listed, Project
from tests.gitlab import GitLab
from tests.migrate.integrity import workspace_of
from tests.migrate.predecessor import RENAMED, SPEECH, VISION, Migrate, Predecessor


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab with the projects, one of which has moved and one of which is gone."""
    running.reset()
    running.create_user("root", admin=True)
    running.create_project(RENAMED, id=101)
    running.move_project(RENAMED, VISION)
    running.create_project(SPEECH, id=102)
    return running


@pytest.fixture
def token(gitlab: GitLab) -> str:
    return gitlab.token("root", scopes=("read_api",))


def test_paths_of_before_a_move_mean_the_project_that_has_moved(gitlab: GitLab, token: str) -> None:
    found = Asked(gitlab.url, SecretStr(token)).projects([RENAMED, VISION, SPEECH, "acme/gone"])

    assert found == {
        RENAMED: Project(101, VISION),
        VISION: Project(101, VISION),
        SPEECH: Project(102, SPEECH),
    }


def test_a_path_that_was_taken_over_means_who_has_it_now(gitlab: GitLab, token: str) -> None:
    """Which is why the numbers in names are compared."""
    gitlab.create_project(RENAMED, id=104)
    found = Asked(gitlab.url, SecretStr(token)).projects([RENAMED])
    assert found == {RENAMED: Project(104, RENAMED)}


def test_what_the_token_does_not_see_is_unknown(gitlab: GitLab) -> None:
    gitlab.create_user("ann")
    gitlab.add_member(SPEECH, "ann", 30)
    asked = Asked(gitlab.url, SecretStr(gitlab.token("ann")))
    assert asked.projects([VISION, SPEECH]) == {SPEECH: Project(102, SPEECH)}


def test_a_limit_is_waited_for(gitlab: GitLab, token: str) -> None:
    gitlab.faults("throttle", path="/api/", seconds=1, times=1)
    gitlab.faults("error", path="/api/", status=502, times=1)
    assert Asked(gitlab.url, SecretStr(token)).projects([SPEECH]) == {SPEECH: Project(102, SPEECH)}
    gitlab.heal()


def test_without_a_definite_answer_nothing_is_planned(
    gitlab: GitLab, token: str, before: Predecessor, migrate: Migrate
) -> None:
    """Every project would seem to be gone."""
    gitlab.revoke(token)
    settings = {"GITLAB_URL": gitlab.url, "GITLAB_SERVICE_TOKEN": token}

    done = migrate(before, "--apply", listed=False, settings=settings)

    assert done.code == 1
    assert "GitLab does not accept this token" in done.err
    assert done.out == ""
    with pytest.raises(Failed, match="GitLab was asked for the projects"):
        Asked("http://127.0.0.1:9", SecretStr(token)).projects([SPEECH])


def test_with_gitlab_as_the_directory(
    gitlab: GitLab, token: str, before: Predecessor, migrate: Migrate, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{token}\n")

    done = migrate(
        before,
        "--apply",
        "--token-file",
        str(file),
        listed=False,
        settings={"GITLAB_URL": gitlab.url},
    )

    assert done.code == 3
    assert [each["paths"] for each in done.report["projects"]] == [[VISION, RENAMED], [SPEECH]]
    assert workspace_of(before, before.of(RENAMED)) == "p101"
    assert token not in done.out + done.err


@pytest.mark.parametrize(
    "content",
    [
        "path,id\nacme/vision,101\nacme/speech,102\n",
        "acme/vision,101\r\n\r\n# gone: acme/gone\r\nacme/speech, 102\r\n",
        '"acme/vision","101"\n/acme/speech/,102',
        '{"acme/vision": 101, "acme/speech": "102"}',
        '[{"path": "acme/vision", "id": 101}, {"path": "acme/speech", "id": 102, "name": "x"}]',
        "\ufeffpath,id\nAcme/Vision,101\nacme/vision,101\nacme/speech,102",
    ],
)
def test_a_file_is_csv_or_json(tmp_path: Path, content: str) -> None:
    file = tmp_path / "projects"
    file.write_text(content, encoding="utf-8")
    wanted = [VISION, SPEECH, "acme/gone"]
    found = {VISION: Project(101, VISION), SPEECH: Project(102, SPEECH)}
    assert Listed(file).projects(wanted) == found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("acme/vision,101\nACME/vision,102", "is listed as 101 and as 102"),
        ("acme/vision", "neither lines of"),
        ("acme/vision,0", "0 is no id of a project"),
        ("acme/vision,x", "neither lines of"),
        ('{"acme/vision": true}', "True is no id of a project"),
        ('[{"path": "acme/vision"}]', "neither lines of"),
        ("{", "neither lines of"),
    ],
)
def test_a_file_that_leaves_something_open_is_refused(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "projects"
    file.write_text(content)
    with pytest.raises(SettingsError, match=message):
        Listed(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Listed(tmp_path / "projects")
