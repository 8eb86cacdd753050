"""`extauthz check-config`: whether the edge would start."""

import argparse

from extauthz.commands.options import Commands, add_env_file
from extauthz.edge.settings import Settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    check = commands.add_parser("check-config", help="check the settings and say what is wrong")
    add_env_file(check)
    check.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    settings = Settings.load(env_file=options.env_file).check_for_serving()
    print(f"The settings are fine: {settings.provider_url} in front of {settings.mlflow_url}.")
    return 0
