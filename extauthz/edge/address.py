"""Addresses to listen on."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP host and port, or (`host` is empty) the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port` or `unix:/path`; raises ValueError."""
        if text.startswith("unix:/"):
            return cls(path=text.removeprefix("unix:"))
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 0xFFFF:  # noqa: PLR2004 - 16 bits
            raise ValueError(f"{text!r} is neither host:port nor unix:/path")
        return cls(host=host, port=int(port))

    def for_worker(self, number: int) -> Self:
        """Return the address of one of several workers: each has a socket of its own.

        Envoy keeps one connection per thread and host, so workers that share a port by
        SO_REUSEPORT would not share the load.
        """
        if not self.path:
            raise ValueError("several workers need a Unix socket to listen on")
        stem, dot, suffix = self.path.rpartition(".")
        return type(self)(path=f"{stem}-{number}{dot}{suffix}" if dot else f"{self.path}-{number}")

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"{self.host}:{self.port}"
