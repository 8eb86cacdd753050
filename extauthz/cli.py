"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from extauthz.edge.address import Address
from extauthz.edge.settings import Settings, SettingsError

_ENV_FILE = Path(".env")


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
            f"extauthz: {error.name} is not installed: pip install 'extauthz[server]' for the edge,"
            " 'extauthz[demo]' for up and demo",
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
    _add_serve(commands)
    _add_up(commands)
    _add_demo(commands)
    _add_envoy_config(commands)
    _add_check_config(commands)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add_serve(commands: Commands) -> None:
    serve = commands.add_parser("serve", help="run the edge: Envoy's authorization server")
    serve.add_argument(
        "--listen",
        default="127.0.0.1:9000",
        help="host:port or unix:/path for Check (default: %(default)s)",
    )
    serve.add_argument(
        "--admin-listen",
        default="127.0.0.1:9002",
        help="host:port or unix:/path for /livez, /readyz and /metrics, or none "
        "(default: %(default)s)",
    )
    serve.add_argument(
        "--workers",
        type=int,
        default=1,
        help="processes; more than one need --listen unix:/path/check.sock and get "
        "check-0.sock, check-1.sock, ... (default: %(default)s)",
    )
    serve.add_argument(
        "--drain-seconds",
        type=float,
        default=5.0,
        help="go on serving for so long after SIGTERM, while readiness fails "
        "(default: %(default)s)",
    )
    _add_env_file(serve)
    serve.set_defaults(run=_serve)


def _add_env_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--env-file", type=Path, default=_ENV_FILE, help="settings file (default: %(default)s)"
    )


def _add_check_config(commands: Commands) -> None:
    check = commands.add_parser("check-config", help="check the settings and say what is wrong")
    _add_env_file(check)
    check.set_defaults(run=_check_config)


def _serve(options: argparse.Namespace) -> int:
    from extauthz.edge.app import ServeOptions, serve  # noqa: PLC0415 - needs the server extra
    from extauthz.edge.logs import configure  # noqa: PLC0415

    settings = Settings.load(env_file=options.env_file).check_for_serving()
    admin = options.admin_listen
    configure(as_json=not sys.stderr.isatty())
    return serve(
        settings,
        ServeOptions(
            listen=Address.parse(options.listen),
            admin=None if admin == "none" else Address.parse(admin),
            workers=options.workers,
            drain_seconds=options.drain_seconds,
        ),
    )


def _check_config(options: argparse.Namespace) -> int:
    settings = Settings.load(env_file=options.env_file).check_for_serving()
    print(f"The settings are fine: {settings.provider_url} in front of {settings.mlflow_url}.")
    return 0
