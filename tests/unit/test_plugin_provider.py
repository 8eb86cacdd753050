import pytest
from mlflow.exceptions import MlflowException

from extauthz.plugin.context import acting_under
from extauthz.plugin.provider import GrantWorkspaces
from tests.servers.mlflow import PUBLIC, SYSTEM, everything, project

PROVIDER = GrantWorkspaces("extauthz://")


def _listed() -> list[str]:
    return [workspace.name for workspace in PROVIDER.list_workspaces()]


def test_the_workspaces_are_those_of_the_grant() -> None:
    with acting_under(project(42)):
        assert _listed() == ["p42"]
        assert PROVIDER.get_workspace("p42").name == "p42"
    with acting_under(everything(1, 2)):
        assert _listed() == ["p1", "p2"]


@pytest.mark.parametrize("name", ["p4", "p421", "default", "", "P42"])
def test_another_workspace_does_not_exist(name: str) -> None:
    with acting_under(project(42)), pytest.raises(MlflowException) as refused:
        PROVIDER.get_workspace(name)
    assert refused.value.get_http_status_code() == 404


def test_without_a_project_there_is_no_workspace() -> None:
    assert _listed() == []
    for grant in (PUBLIC, SYSTEM, everything()):
        with acting_under(grant):
            assert _listed() == []
    with acting_under(project(42)), pytest.raises(NotImplementedError):
        PROVIDER.get_default_workspace()
