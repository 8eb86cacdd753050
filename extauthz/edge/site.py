"""The site: where people reach us, taken apart. Nothing that a request says ever changes it."""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Site:
    """The public URL: an origin as browsers write it (RFC 6454), and a path, empty at the root."""

    origin: str
    prefix: str

    @classmethod
    def of(cls, public_url: str) -> Self:
        """Take the public URL apart; it has no slash at its end."""
        parts = urlsplit(public_url)
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        if parts.port not in (None, _DEFAULT_PORTS.get(parts.scheme)):
            host = f"{host}:{parts.port}"
        return cls(f"{parts.scheme}://{host}", parts.path)

    @property
    def host(self) -> str:
        """The name that browsers keep our cookies under."""
        return urlsplit(self.origin).hostname or ""

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https."""
        return self.origin.startswith("https:")

    def view(self, project: str | None, path: str = "/") -> str:
        """Return the address of a path in a view."""
        inside = f"/{project}/tracking" if project else ""
        return f"{self.origin}{self.prefix}{inside}{path}"
