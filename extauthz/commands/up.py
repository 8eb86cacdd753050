"""`extauthz up`: Envoy, the edge and MLflow on this machine."""

import argparse

from extauthz.commands.options import Commands, add_env_file, add_run_options, run_options


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    up = commands.add_parser("up", help="run Envoy, the edge and MLflow here, with your settings")
    add_run_options(up)
    add_env_file(up)
    up.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from extauthz.local.run import up  # noqa: PLC0415 - needs the demo extra

    return up(run_options(options, env_file=options.env_file))
