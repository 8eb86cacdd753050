"""MLflow's server with the plugin: what `mlflow server --app-name extauthz` runs."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.orm import Session

from extauthz.grant import GrantVerifier
from extauthz.logs import configure
from extauthz.plugin.command import LINE, WORKSPACE_STORE
from extauthz.plugin.gate import Gate
from extauthz.plugin.grants import VerifiedGrants
from extauthz.plugin.instance import ForeignInstance
from extauthz.plugin.metrics import Metrics
from extauthz.plugin.settings import Settings, SettingsError

# uvicorn's code for an app that fails the same way on every restart; it then stops all workers.
_STARTUP_FAILURE: Final = 3


def create_app() -> Gate:
    """Return the ASGI app, or exit with one line that says what is missing."""
    try:
        check_started(os.environ)
        settings = Settings.load(os.environ)
        configure(settings.log_format, settings.log_level)
        return build(settings)
    except (SettingsError, ForeignInstance) as error:
        sys.stderr.write(f"extauthz: {error}\n")
        sys.exit(_STARTUP_FAILURE)


def check_started(environ: Mapping[str, str]) -> None:
    """Refuse to run without workspaces or under another server than uvicorn.

    Raises SettingsError. `mlflow server` tells its app in these variables how it was started.
    """
    if (
        environ.get("MLFLOW_ENABLE_WORKSPACES", "").lower() not in ("true", "1")
        or environ.get("MLFLOW_WORKSPACE_STORE_URI") != WORKSPACE_STORE
        or environ.get("_MLFLOW_SGI_NAME") != "uvicorn"
    ):
        raise SettingsError(f"start MLflow with: {LINE}")


def build(settings: Settings) -> Gate:
    """Open MLflow's stores, restrict what they see from now on, and put the gate outside."""
    # MLflow reads its environment while it is imported.
    from mlflow.server import app as flask_app  # noqa: PLC0415

    from extauthz.plugin import (  # noqa: PLC0415
        guard,
        instance,
        inventory,
        page,
        projects,
        rows,
        stores,
        writes,
    )

    _check_inventory(inventory.unknown(flask_app), tolerant=settings.tolerant)
    tracking, registry = stores.install()
    for engine in {tracking, registry}:
        instance.claim(engine, settings.instance)
    rows.watch(Session)
    writes.watch(Session)
    server = guard.guarded(flask_app)
    page.add_to(server, Path(flask_app.static_folder), framed_by=settings.framed_by)
    metrics = Metrics()
    if settings.metrics:
        metrics.serve(settings.metrics)
    return Gate(
        server,
        grants=VerifiedGrants(GrantVerifier(settings.keys, instance=settings.instance)),
        metrics=metrics,
        owners=projects.Owners(tracking=tracking, registry=registry),
    )


def _check_inventory(unknown: Sequence[str], *, tolerant: bool) -> None:
    """Refuse an MLflow that has more than is known of it; raises SettingsError."""
    if not unknown:
        return
    message = f"this MLflow has parts that extauthz does not know: {', '.join(unknown)}"
    if not tolerant:
        raise SettingsError(
            f"{message}. Use a version that it knows, or set MLFLOW_UNCLASSIFIED=warn to start "
            "without them"
        )
    structlog.get_logger("extauthz.plugin").warning("inventory.unknown", why=message)
