"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from extauthz.commands import check_config, demo, doctor, envoy_config, migrate, serve, up
from extauthz.edge.settings import SettingsError

# In the order of the help.
_COMMANDS = (serve, up, demo, envoy_config, check_config, migrate, doctor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 fine, 1 failed, 2 wrong settings or arguments."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except (SettingsError, ValueError) as error:
        print(f"extauthz: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"extauthz: {error.name} is not installed: pip install 'extauthz[server]' for the edge"
            " and doctor, 'extauthz[mlflow,stores]' for migrate, 'extauthz[demo]' for up and demo",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="extauthz",
        description="GitLab permissions in front of MLflow.",
        epilog="Settings come from the environment and .env: see .env.example.",
    )
    parser.add_argument("--version", action="version", version=f"extauthz {version('extauthz')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser
