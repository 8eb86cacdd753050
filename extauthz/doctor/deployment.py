"""The deployment: everything that is known about it, and how to ask it."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from extauthz.doctor.finding import Verdict
from extauthz.doctor.wire import Answer, Header, Wire
from extauthz.edge.address import Address
from extauthz.edge.site import Site

# A scheme that the edge refuses by itself (401): no provider is asked about it, nobody throttled.
STRANGER: Final[Header] = ("Authorization", "Doctor nobody")
# Reads at most one row, for those who may.
LIST: Final = "/api/2.0/mlflow/experiments/search?max_results=1"


@dataclass(frozen=True, slots=True)
class Application:
    """Our application at GitLab."""

    id: str
    secret: SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is known; an empty value is not known.

    `mlflow` and `envoy_admin` are URLs of servers that should be out of reach from elsewhere.
    `token` belongs to somebody who may read `project` and not `foreign_project`; `service_token`
    sees every project. `instance` is whose ids the database should hold.
    """

    wire: Wire
    site: Site
    connect: Address | None = None
    mlflow: str = ""
    envoy_admin: str = ""
    gitlab: str = ""
    sharinghub: str = ""
    sharinghub_cookie: str = "sharinghub-session"
    application: Application | None = None
    token: SecretStr | None = None
    service_token: SecretStr | None = None
    project: str = ""
    foreign_project: str = ""
    database: SecretStr | None = None
    instance: str = ""
    now: Callable[[], float] = time.time

    @property
    def public_url(self) -> str:
        """Where people reach it."""
        return f"{self.site.origin}{self.site.prefix}"

    @property
    def overseer(self) -> SecretStr | None:
        """The token that sees most."""
        return self.service_token or self.token

    async def ask(
        self, method: str, path: str, headers: Sequence[Header] = (), body: bytes | None = None
    ) -> Answer:
        """Ask for a path below the public URL; raises Unreachable."""
        return await self.wire.ask(method, f"{self.public_url}{path}", headers, body)

    async def way_in(self) -> Answer:
        """Return how a browser is sent to sign in; raises Unreachable."""
        return await self.ask("GET", "/auth/login", [("Accept", "text/html")])

    async def gitlab_url(self) -> str:
        """Return GitLab's URL: as given, or where people are sent to sign in; empty if nowhere."""
        if self.gitlab or self.sharinghub:
            return self.gitlab
        address = urlsplit((await self.way_in()).location)
        base, authorize, rest = address.path.partition("/oauth/authorize")
        if not authorize or rest:
            return ""
        return f"{address.scheme}://{address.netloc}{base}"


Probe = Callable[[Deployment], Awaitable[Verdict]]
Probes = Mapping[str, Probe]
