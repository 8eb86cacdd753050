"""`extauthz demo`: the same in front of a demo GitLab."""

import argparse

from extauthz.commands.options import Commands, add_run_options, run_options


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
    demo = commands.add_parser("demo", help="the same in front of a built-in demo GitLab")
    add_run_options(demo)
    demo.add_argument(
        "--gitlab-port", type=int, default=8080, help="port of the demo GitLab (%(default)s)"
    )
    demo.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from extauthz.local.run import demo  # noqa: PLC0415 - needs the demo extra

    return demo(run_options(options, gitlab_port=options.gitlab_port))
