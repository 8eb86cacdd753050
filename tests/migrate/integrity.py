"""Whether what the rows say is so: what must hold at any moment of a migration."""

from extauthz.migrate.locations import PROXY
from tests.migrate.predecessor import Made, Predecessor

_RUN = "SELECT artifact_uri FROM runs WHERE run_uuid = :id"
_MODEL = "SELECT artifact_location FROM logged_models WHERE model_id = :id"
_TRACE = "SELECT value FROM trace_tags WHERE request_id = :id AND key = 'mlflow.artifactLocation'"
_VERSION = "SELECT workspace, source FROM model_versions WHERE name = :name AND version = 2"
_WORKSPACE = "SELECT workspace FROM experiments WHERE experiment_id = :id"


def workspace_of(before: Predecessor, made: Made) -> str:
    """Return where a project's experiment is."""
    ((workspace,),) = before.execute(_WORKSPACE, id=made.experiment)
    return str(workspace)


def holds(before: Predecessor) -> None:
    """Hold that every file is where its row says, and that rows of a project are together."""
    for made in before.made:
        workspace = workspace_of(before, made)
        folder = "" if workspace == "default" else f"workspaces/{workspace}/"
        root = f"{PROXY}{folder}{made.experiment}"
        ((run,),) = before.execute(_RUN, id=made.run)
        ((model,),) = before.execute(_MODEL, id=made.model)
        ((trace,),) = before.execute(_TRACE, id=made.trace)
        ((beside, source),) = before.execute(_VERSION, name=made.name)
        assert run == f"{root}/{made.run}/artifacts"
        assert model == f"{root}/models/{made.model}/artifacts"
        assert trace == f"{root}/traces/{made.trace}/artifacts"
        assert (beside, source) == (workspace, f"{run}/more")
        for address in (f"{run}/more/data.txt", f"{trace}/attachments/{made.attachment}"):
            assert _read(before, address) == made.secret
        assert "model_id" in _read(before, f"{model}/MLmodel")


def _read(before: Predecessor, address: str) -> str:
    return (before.artifacts / address.removeprefix(PROXY)).read_text()
