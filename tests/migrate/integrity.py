"""Whether what the rows say is so: what must hold at any moment of a migration."""

from collections.abc import Callable

from sqlalchemy import Connection, create_engine, text

from extauthz.migrate.locations import PROXY
from tests.migrate.predecessor import Made, Predecessor

_RUN = "SELECT artifact_uri FROM runs WHERE run_uuid = :id"
_MODEL = "SELECT artifact_location FROM logged_models WHERE model_id = :id"
_TRACE = "SELECT value FROM trace_tags WHERE request_id = :id AND key = 'mlflow.artifactLocation'"
_VERSION = "SELECT workspace, source FROM model_versions WHERE name = :id AND version = 2"
_WORKSPACE = "SELECT workspace FROM experiments WHERE experiment_id = :id"


def workspace_of(before: Predecessor, made: Made) -> str:
    """Return where a project's experiment is."""
    ((workspace,),) = before.execute(_WORKSPACE, id=made.experiment)
    return str(workspace)


def holds(before: Predecessor, read: Callable[[str], str] | None = None) -> None:
    """Hold that every file is where its row says, and that rows of a project are together."""
    read = read or (lambda path: (before.artifacts / path).read_text())
    engine = create_engine(before.database)
    with engine.connect() as connection:
        found = [_rows(connection, made) for made in before.made]
    engine.dispose()
    for made, (workspace, run, model, trace, beside, source) in zip(
        before.made, found, strict=True
    ):
        folder = "" if workspace == "default" else f"workspaces/{workspace}/"
        root = f"{PROXY}{folder}{made.experiment}"
        assert run == f"{root}/{made.run}/artifacts"
        assert model == f"{root}/models/{made.model}/artifacts"
        assert trace == f"{root}/traces/{made.trace}/artifacts"
        assert (beside, source) == (workspace, f"{run}/more")
        for address in (f"{run}/more/data.txt", f"{trace}/attachments/{made.attachment}"):
            assert read(address.removeprefix(PROXY)) == made.secret
        assert "model_id" in read(f"{model}/MLmodel".removeprefix(PROXY))


def _rows(connection: Connection, made: Made) -> list[str]:
    """Return the workspace of a project, the addresses in it, and where its model is."""
    asked = (
        (_WORKSPACE, made.experiment),
        *((_RUN, made.run), (_MODEL, made.model), (_TRACE, made.trace), (_VERSION, made.name)),
    )
    return [
        str(cell)
        for statement, key in asked
        for cell in connection.execute(text(statement), {"id": key}).one()
    ]
