"""`extauthz doctor`: a running deployment, looked at from outside."""

import argparse
from pathlib import Path

from extauthz.commands.options import Commands, add_env_file


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
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
    add_env_file(doctor)
    doctor.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from extauthz.doctor.command import DoctorOptions, doctor  # noqa: PLC0415 - the server extra

    given = {name: value for name, value in vars(options).items() if name != "run"}
    report, code = doctor(DoctorOptions(**given))
    print(report)
    return code
