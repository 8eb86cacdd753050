"""The decision core as `extauthz serve` puts it together, before a demo GitLab or a SharingHub."""

import asyncio
import secrets
import time
from base64 import b64encode
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from pydantic import SecretStr

from extauthz.edge.assembly import credential_reader, login_of, open_access
from extauthz.edge.check import Checker
from extauthz.edge.metrics import Metrics
from extauthz.edge.mint import Mint
from extauthz.edge.provider import User
from extauthz.edge.seal import Seal
from extauthz.edge.session import Session, Tokens
from extauthz.edge.session_store import CookieStore
from extauthz.edge.settings import Settings
from extauthz.edge.tarpit import Tarpit
from extauthz.grant import GrantSigner, GrantVerifier
from extauthz.levels import Role
from tests.access import INSTANCE, KEY, SECRET, MLflow
from tests.gitlab import DEVELOPER, GUEST, GitLab
from tests.sharinghub import SharingHub

AUDIENCE: Final = "https://mlflow.example.org"
ORIGIN: Final = "http://localhost:5000"
COOKIE: Final = "mlflow-session"
VERIFIER: Final = GrantVerifier([KEY], instance=INSTANCE)
# The id of each project. Nobody below is a member of the last.
PROJECTS: Final = {
    "acme/vision": 101,
    "tracking/tracking": 102,
    # SharingHub shows it to everybody.
    "acme/open": 103,
    "other/secret": 999,
}
_OURS: Final = ("acme/vision", "tracking/tracking")
_WRITES: Final = dict.fromkeys(_OURS, Role.WRITE)
_READS: Final = dict.fromkeys(_OURS, Role.READ)
_OPEN: Final = {"acme/open": Role.READ}
# Events that tell of a defect: what they are about should have been a refusal.
_CRASHES: Final = frozenset({"check.failed", "flight.crashed", "page.failed"})


@dataclass(frozen=True, slots=True)
class Person:
    """A secret, and what it may do: the roles in the projects, which for a job is one.

    A visitor has none, or one that is nobody's.
    """

    secret: str
    roles: dict[str, Role]
    is_cookie: bool = False
    is_visitor: bool = False
    everywhere: bool = True

    @property
    def basic(self) -> str:
        """The secret as the password of a Basic credential."""
        return b64encode(f"anybody:{self.secret}".encode()).decode()


@dataclass(slots=True)
class Core:
    """The core, who is known to it by a secret, and what it logged.

    `cookie` is that of sessions, and `homes` is where it may send somebody.
    """

    checker: Checker
    runner: asyncio.Runner
    people: dict[str, Person]
    cookie: str = COOKIE
    homes: tuple[str, ...] = (f"{ORIGIN}/",)
    _logged: list[Any] = field(default_factory=list)

    def answer(self, payload: bytes) -> bytes:
        """Return the answer to a question; fails if it is one to an error of ours."""
        answer = self.runner.run(self._answer(payload))
        crashes = [event for event in self._logged if event["event"] in _CRASHES]
        self._logged.clear()
        assert not crashes, crashes
        return answer

    async def _answer(self, payload: bytes) -> bytes:
        pending = self.checker.check(payload)
        return await pending if isinstance(pending, Awaitable) else pending


@contextmanager
def before_gitlab() -> Iterator[Core]:
    """Decide until the block ends."""
    with GitLab.start() as gitlab, _running() as (runner, stack, logged):
        number, people = _people(gitlab)
        client_id, client_secret = gitlab.create_application([f"{ORIGIN}/auth/authorize"])
        gitlab.create_user("auditor", admin=True)
        settings = {
            "GITLAB_URL": gitlab.url,
            "GITLAB_OAUTH_CLIENT_ID": client_id,
            "GITLAB_OAUTH_CLIENT_SECRET": client_secret,
            "GITLAB_SERVICE_TOKEN": gitlab.token("auditor", scopes=["read_api"]),
            "CI_AUDIENCE": AUDIENCE,
        }
        checker = runner.run(_checker(settings, stack))
        people["session"] = runner.run(_signed_in(number, people["developer"]))
        yield Core(checker, runner, people, _logged=logged)


@contextmanager
def before_sharinghub() -> Iterator[Core]:
    """Decide until the block ends, for visitors as well."""
    with SharingHub.start() as hub, _running() as (runner, stack, logged):
        for path in _OURS:
            hub.project(PROJECTS[path], path, developer=3, guest=1)
        hub.project(PROJECTS["acme/open"], "acme/open", others=2)
        hub.project(PROJECTS["other/secret"], "other/secret", somebody=4)
        hub.anonymous(default_token=hub.token("robot"))
        developer = Person(hub.token("developer"), _WRITES | _OPEN)
        people = {
            "developer": developer,
            "guest": Person(hub.token("guest"), _READS | _OPEN),
            "nobody": Person(hub.token("nobody"), _OPEN),
            "session": Person(hub.session(developer.secret), developer.roles, is_cookie=True),
            "visitor": Person("", _OPEN, is_visitor=True),
        }
        settings = {"SHARINGHUB_URL": hub.url, "SHARINGHUB_AUTH_DEFAULT_TOKEN": "true"}
        checker = runner.run(_checker(settings, stack))
        homes = (f"{ORIGIN}/", f"{hub.url}/")
        yield Core(checker, runner, people, "sharinghub-session", homes, logged)


@contextmanager
def _running() -> Iterator[tuple[asyncio.Runner, AsyncExitStack, list[Any]]]:
    """Run a loop; what is entered into the stack ends before it."""
    with asyncio.Runner() as runner, structlog.testing.capture_logs() as logged:
        stack = AsyncExitStack()
        try:
            yield runner, stack, logged
        finally:
            runner.run(stack.aclose())


def _people(gitlab: GitLab) -> tuple[int, dict[str, Person]]:
    """Return GitLab's number of the developer, and everybody with a token."""
    numbers = {}
    for path, number in PROJECTS.items():
        gitlab.create_project(path, id=number)
    for name, level in (("developer", DEVELOPER), ("guest", GUEST), ("nobody", 0)):
        numbers[name] = gitlab.create_user(name)
        for path in _OURS if level else ():
            gitlab.add_member(path, name, level)
    job = gitlab.mint_id_token("acme/vision", "developer", AUDIENCE)
    return numbers["developer"], {
        "developer": Person(gitlab.token("developer"), _WRITES),
        "reader": Person(gitlab.token("developer", scopes=["read_api"]), _READS),
        "guest": Person(gitlab.token("guest"), _READS),
        "nobody": Person(gitlab.token("nobody"), {}),
        "job": Person(job, {"acme/vision": Role.WRITE}, everywhere=False),
    }


async def _checker(provider: Mapping[str, str], stack: AsyncExitStack) -> Checker:
    mlflow = await stack.enter_async_context(MLflow.serving())
    mlflow.ids = sorted(PROJECTS.values())
    # Nothing of the world changes, so what is known stays right.
    long = "86400"
    settings = Settings.load(
        {
            **provider,
            "MLFLOW_URL": mlflow.url,
            "PUBLIC_URL": ORIGIN,
            "INSTANCE_ID": INSTANCE,
            "SECRET_KEY": SECRET.get_secret_value(),
            "GRANT_KEY": SECRET.get_secret_value(),
            "PROJECT_CACHE_TIMEOUT": long,
            "SHARINGHUB_AUTH_CACHE_TIMEOUT": long,
        }
    )
    metrics, signer = Metrics(provider="gitlab"), GrantSigner(KEY)
    access = await stack.enter_async_context(open_access(settings, signer=signer, observer=metrics))
    return Checker(
        access.accesses,
        Mint(settings, signer),
        [metrics],
        credential_of=credential_reader(settings),
        login=login_of(settings),
        site=settings.site,
        tarpit=Tarpit(seconds=lambda: 0),
    )


async def _signed_in(number: int, developer: Person) -> Person:
    """Return the session of a developer, sealed as the edge seals it."""
    now, token = time.time(), SecretStr(developer.secret)
    user = User(f"gitlab:{number}", "developer")
    session = Session(
        secrets.token_urlsafe(18),
        user,
        Tokens(token, SecretStr("refresh"), now + 86_400, now + 86_400),
        created=now,
        seen=now,
    )
    kept = await CookieStore(Seal([SECRET]), idle=7200).add(session)
    return Person(kept.cookie, developer.roles, is_cookie=True)
