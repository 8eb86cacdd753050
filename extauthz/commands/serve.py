"""`extauthz serve`: the edge."""

import argparse

from extauthz.commands.options import Commands, add_env_file
from extauthz.edge.address import Address
from extauthz.edge.settings import Settings


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
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
    add_env_file(serve)
    serve.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
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
