"""`extauthz migrate`: what a predecessor has tagged, into workspaces."""

import argparse
import sys
from functools import partial
from pathlib import Path

from extauthz.commands.options import Commands, add_env_file


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    migrate = commands.add_parser(
        "migrate",
        help="move what mlflow-sharinghub has tagged into the workspaces of its projects",
        description="Move what has the tag PROJECT_TAG into the workspaces of its projects, in "
        "MLFLOW_BACKEND_STORE_URI and MLFLOW_ARTIFACTS_DESTINATION. Only shows what it would do, "
        "unless told to --apply it; MLflow must be stopped then. What an interruption has left is "
        "done by the next run.",
        epilog="Ends with 0 when all is well, 1 when something failed, 2 for wrong settings or "
        "arguments, 3 when something stays that somebody must look at.",
    )
    add = migrate.add_argument
    how = migrate.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only show the plan (the default)")
    how.add_argument("--apply", action="store_true", help="do it")
    add(
        "--projects",
        type=Path,
        metavar="FILE",
        help="the ids of the projects: lines of `path,id`, or JSON (asks GITLAB_URL otherwise)",
    )
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a GitLab token with read_api that sees all projects (GITLAB_SERVICE_TOKEN)",
    )
    add("--any-suffix", action="store_true", help="let names end in the id of another project")
    what = migrate.add_mutually_exclusive_group()
    what.add_argument(
        "--undo", action="store_true", help="move everything back into the default workspace"
    )
    what.add_argument(
        "--rebind", metavar="INSTANCE", default="", help="only record another provider instance"
    )
    add("--in-use", action="store_true", help="go on though the database is open elsewhere")
    add("--json", action="store_true", help="print the plan as JSON")
    add_env_file(migrate)
    migrate.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # These need the mlflow extra.
    from extauthz.logs import configure  # noqa: PLC0415
    from extauthz.migrate.command import MigrateOptions, migrate  # noqa: PLC0415
    from extauthz.migrate.settings import Settings as Sources  # noqa: PLC0415

    # The report says it all; GitLab's bad moments are waited for.
    configure(level="error")
    names = ("apply", "undo", "rebind", "projects", "token_file", "in_use", "any_suffix")
    return migrate(
        Sources.load(env_file=options.env_file),
        MigrateOptions(as_json=options.json, **{name: getattr(options, name) for name in names}),
        say=print,
        tell=partial(print, file=sys.stderr, flush=True),
    )
