"""What differs between one Envoy of ours and another."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from extauthz.edge.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyOptions:
    """Where Envoy listens and whom it talks to.

    Addresses are `host:port` or `unix:/path`. `check` lists one address per worker of the edge:
    workers behind one socket would share nothing, since Envoy keeps one connection per address.
    `mlflow_host` is the Host that MLflow is asked for, whatever name clients use. `pages` is where
    the edge serves the pages of a login, and `prefix` the path of PUBLIC_URL that they are below.
    """

    listen: str = "127.0.0.1:5000"
    check: tuple[str, ...] = ("127.0.0.1:9000",)
    check_timeout: float = 5.0
    pages: str = "127.0.0.1:9001"
    prefix: str = ""
    mlflow: str = "127.0.0.1:5001"
    mlflow_host: str = "127.0.0.1:5001"
    admin: str | None = "127.0.0.1:9901"
    trusted_hops: int = 0

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        check: tuple[str, ...],
        pages: str = "127.0.0.1:9001",
        listen: str = "127.0.0.1:5000",
        admin: str | None = "127.0.0.1:9901",
    ) -> Self:
        """Take what the settings know; raises SettingsError."""
        mlflow = urlsplit(settings.mlflow_url)
        if mlflow.scheme != "http":
            raise SettingsError("MLFLOW_URL must be an http URL: Envoy reaches MLflow without TLS")
        return cls(
            listen=listen,
            check=check,
            pages=pages,
            prefix=settings.site.prefix,
            mlflow=f"{mlflow.hostname}:{mlflow.port or 80}",
            mlflow_host=settings.mlflow_host,
            admin=admin,
            trusted_hops=settings.trusted_hops,
        )
