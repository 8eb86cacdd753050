"""The parts of the stack: how each is started, and when it serves."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from extauthz.edge.address import Address
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.edge.settings import Settings
from extauthz.local.envoy import envoy_argv
from extauthz.local.options import RunOptions
from extauthz.local.part import Part, Probe
from extauthz.plugin.command import command, environment

GITLAB: Final = "gitlab"
MLFLOW: Final = "mlflow"
EDGE: Final = "edge"
ENVOY: Final = "envoy"
LOOPBACK: Final = "127.0.0.1"
# What a shell holds that has used MLflow as a client; the server would follow it.
_CLIENT = ("MLFLOW_TRACKING_", "MLFLOW_REGISTRY_URI", "MLFLOW_WORKSPACE")


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings, and the environment and file from which the edge reads the same ones."""

    settings: Settings
    environ: Mapping[str, str]
    env_file: Path


@dataclass(frozen=True, slots=True)
class Stack:
    """How the parts of one installation are run; `runtime` is a private folder for sockets."""

    installation: Installation
    options: RunOptions
    envoy: Path
    runtime: Path

    def edge(self) -> Part:
        """Return the authorization server."""
        admin = Address(host=LOOPBACK, port=self.options.admin_port)
        argv = (
            *(sys.executable, "-m", "extauthz", "serve"),
            *("--listen", str(self._check_socket), "--admin-listen", str(admin)),
            *("--pages-listen", str(self._pages_socket)),
            *("--workers", str(self.options.workers)),
            # Envoy is stopped first, so there is nobody to wait for.
            *("--drain-seconds", "0"),
            *("--env-file", str(self.installation.env_file)),
        )
        return Part(EDGE, argv, _unbuffered(self.installation.environ), Probe(admin, "/readyz"))

    def mlflow(self) -> Part:
        """Return MLflow with the plugin; it gets the grant key and no other secret."""
        port = urlsplit(self._settings.mlflow_url).port or 80
        argv = command(host=LOOPBACK, port=port, workers=self._settings.mlflow_workers)
        environ = environment(
            grant_key=self._settings.grant_key,
            grant_key_previous=self._settings.grant_key_previous,
            instance=self._settings.instance,
            backend_store_uri=self._settings.mlflow_backend_store_uri,
            artifacts_destination=self._settings.mlflow_artifacts_destination,
            public_url=self._settings.site.origin,
            framed_by=self._settings.framed_by,
        )
        probe = Probe(Address(host=LOOPBACK, port=port), "/health")
        return Part(MLFLOW, tuple(argv), _unbuffered({**foreign(os.environ), **environ}), probe)

    def proxy(self) -> Part:
        """Return Envoy."""
        admin = Address(path=str(self.runtime / "envoy.sock"))
        options = EnvoyOptions.of(
            self._settings,
            listen=f"{self.options.host}:{self.options.port}",
            check=tuple(str(address) for address in self._check_sockets()),
            pages=str(self._pages_socket),
            admin=str(admin),
        )
        argv = envoy_argv(self.envoy, self.runtime / "envoy.yaml", options)
        return Part(ENVOY, argv, foreign(os.environ), Probe(admin, "/ready"))

    def way_through(self) -> Probe:
        """Return the probe that passes Envoy, the edge and MLflow."""
        address = Address(host=LOOPBACK, port=self.options.port)
        return Probe(address, f"{self._settings.site.prefix}/health")

    @property
    def _settings(self) -> Settings:
        return self.installation.settings

    @property
    def _check_socket(self) -> Address:
        return Address(path=str(self.runtime / "check.sock"))

    @property
    def _pages_socket(self) -> Address:
        return Address(path=str(self.runtime / "pages.sock"))

    def _check_sockets(self) -> Iterator[Address]:
        if self.options.workers == 1:
            yield self._check_socket
        else:
            yield from map(self._check_socket.for_worker, range(self.options.workers))


def gitlab(port: int, callback: str) -> Part:
    """Return the demo GitLab, whose application takes its logins at `callback`."""
    argv = (
        *(sys.executable, "-m", "extauthz.local.gitlab"),
        *("--port", str(port), "--world", "demo", "--callback", callback),
    )
    probe = Probe(Address(host=LOOPBACK, port=port), "/-/readiness")
    return Part(GITLAB, argv, _unbuffered(foreign(os.environ)), probe)


def foreign(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without our settings, as for a program that is none of ours."""
    names = {name.upper() for name in Settings.model_fields}
    return {
        name: value
        for name, value in environ.items()
        if name.removesuffix("_FILE") not in names and not name.startswith(_CLIENT)
    }


def _unbuffered(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "PYTHONUNBUFFERED": "1"}
