"""Write the configuration and become Envoy: `python -m extauthz.local.envoy BINARY FILE OPTIONS`.

A process of its own, so that each start reads the code that builds the configuration again.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from extauthz.edge.envoy_options import EnvoyOptions


def envoy_argv(binary: Path, config: Path, options: EnvoyOptions) -> tuple[str, ...]:
    """Return the command that runs Envoy with these options."""
    given = json.dumps(asdict(options))
    return (sys.executable, "-m", "extauthz.local.envoy", str(binary), str(config), given)


def main(binary: str, config: str, given: str) -> None:
    """Replace this process by Envoy."""
    from extauthz.edge.envoy_config import build  # noqa: PLC0415 - a second, for its messages

    options = json.loads(given)
    text = build(EnvoyOptions(**{**options, "check": tuple(options["check"])}))
    Path(config).write_text(text)
    # Several Envoys may run on one machine, and none hands over to the next.
    flags = ["--disable-hot-restart", "-l", "error", "--file-flush-interval-msec", "500"]
    os.execv(binary, [binary, "-c", config, *flags])  # noqa: S606 - becoming Envoy is the point


if __name__ == "__main__":
    main(*sys.argv[1:])
