"""What the settings make of access, through the very function that the edge starts with."""

from collections.abc import AsyncIterator

import pytest

from extauthz.edge.assembly import open_access
from extauthz.edge.refusals import NotFound, Unauthenticated
from extauthz.edge.settings import Settings
from extauthz.grant import GrantSigner, Why
from tests.access import INSTANCE, KEY, SECRET, Calls, MLflow, credential, decided
from tests.gitlab import GitLab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a member of nothing."""
    running.reset()
    running.create_user("ann")
    running.create_project("acme/open", visibility="public", topics=["mlflow", "gpu"])
    running.create_project("acme/untagged", visibility="public", topics=["mlflow"])
    return running


@pytest.fixture
async def mlflow() -> AsyncIterator[MLflow]:
    async with MLflow.serving() as mlflow:
        mlflow.ids = [1, 2]
        yield mlflow


async def test_the_settings_reach_every_decision(gitlab: GitLab, mlflow: MLflow) -> None:
    settings = _settings(gitlab, mlflow, visitors="read")
    ann, calls = credential(gitlab.token("ann")), Calls()
    async with open_access(settings, signer=GrantSigner(KEY), observer=calls) as deciding:
        access = deciding.accesses
        project = await decided(access.in_project(ann, "acme/open"))
        with pytest.raises(NotFound):
            await decided(access.in_project(ann, "acme/untagged"))
        everything = await decided(access.everywhere(ann))
        with pytest.raises(Unauthenticated):
            await decided(access.everywhere(credential("made-up")))

    assert (project.project_id, project.why) == (1, Why.VISITOR)
    assert everything.projects == (1,)
    assert {operation for operation, _ in calls.seen} == {"project", "owned", "projects"}


async def test_visitors_are_not_let_in_by_default(gitlab: GitLab, mlflow: MLflow) -> None:
    settings = _settings(gitlab, mlflow, visitors="")
    ann = credential(gitlab.token("ann"))
    async with open_access(settings, signer=GrantSigner(KEY), observer=Calls()) as deciding:
        access = deciding.accesses
        with pytest.raises(NotFound):
            await decided(access.in_project(ann, "acme/open"))


def _settings(gitlab: GitLab, mlflow: MLflow, *, visitors: str) -> Settings:
    return Settings.load(
        {
            "GITLAB_URL": gitlab.url,
            "MLFLOW_URL": mlflow.url,
            "SECRET_KEY": SECRET.get_secret_value(),
            "INSTANCE_ID": INSTANCE,
            "GITLAB_MANDATORY_TOPICS": "mlflow,gpu",
            "VISITOR_ACCESS": visitors,
        }
    )
