"""`extauthz up` and `extauthz demo`: everything on this machine, until Ctrl-C."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from extauthz.local.gitlab.world import demo_world
from extauthz.local.installation import demo_installation, own_installation
from extauthz.local.lifecycle import Lifecycle
from extauthz.local.options import RunOptions
from extauthz.local.part import Part
from extauthz.local.preflight import Port, PreflightError, envoy_binary, need_modules, need_ports
from extauthz.local.stack import LOOPBACK, Installation, Stack, gitlab
from extauthz.local.welcome import demo_text, up_text

_OURS_ALONE: Final = (LOOPBACK, "localhost", "::1")


def up(options: RunOptions) -> int:
    """Run Envoy, the edge and MLflow with the user's settings; returns the exit code."""
    installation = own_installation(options)
    for name, url in installation.settings.insecure_urls():
        _complain(f"{name} is plain http ({url}): tokens can be read on the way")
    if options.host not in _OURS_ALONE and _is_plain(installation.settings.public_url):
        _complain(
            f"Envoy listens on {options.host} without TLS: before other machines use it, put a "
            "proxy with TLS in front and set PUBLIC_URL to its https address"
        )
    kept_in = installation.environ.get("SECRET_KEY_FILE", "")
    return _run(installation, options, [], up_text(installation.settings, options, kept_in))


def demo(options: RunOptions) -> int:
    """Run the same with a GitLab of our own; returns the exit code."""
    installation = demo_installation(options)
    _, users = demo_world()
    text = demo_text(installation.settings, options, users)
    callback = installation.settings.site.view(None, "/auth/authorize")
    return _run(installation, options, [gitlab(options.gitlab_port, callback)], text)


def _run(
    installation: Installation, options: RunOptions, others: Sequence[Part], welcome: str
) -> int:
    try:
        envoy = envoy_binary(options.envoy)
        need_modules(["mlflow", *(["watchfiles"] if options.reload else [])])
        need_ports(_ports(installation, options, others))
    except PreflightError as error:
        _complain(str(error))
        return 1
    with TemporaryDirectory(prefix="extauthz-") as folder:
        stack = Stack(installation, options, envoy, Path(folder))
        parts = [*others, stack.mlflow(), stack.edge(), stack.proxy()]
        life = Lifecycle(parts, stack.way_through(), welcome, reload=options.reload)
        return asyncio.run(life.until_stopped())


def _ports(installation: Installation, options: RunOptions, others: Sequence[Part]) -> list[Port]:
    mlflow = urlsplit(installation.settings.mlflow_url).port or 80
    ports = [
        Port("Envoy", options.host, options.port, "--port"),
        Port("MLflow", LOOPBACK, mlflow, "--mlflow-port"),
        Port("the edge's metrics", LOOPBACK, options.admin_port, "--admin-port"),
    ]
    if others:
        ports.append(Port("the demo GitLab", LOOPBACK, options.gitlab_port, "--gitlab-port"))
    return ports


def _is_plain(url: str) -> bool:
    return urlsplit(url).scheme == "http"


def _complain(text: str) -> None:
    print(f"extauthz: {text}", file=sys.stderr)
