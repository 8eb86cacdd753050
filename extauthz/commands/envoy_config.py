"""`extauthz envoy-config`: what Envoy is started with."""

import argparse

from extauthz.commands.options import Commands


def add_to(commands: Commands) -> None:
    """Add the command to the parser."""
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
    config.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
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
