"""A SharingHub for tests: a real process, changed through its control endpoint.

with SharingHub.start() as hub:
    token = hub.token("ann")
    hub.project(101, "acme/vision", ann=CONTRIBUTOR)
    cookie = hub.session(token)
    hub.fault("answer", path="/api/check/", status=502, text="<html>", kind="text/html", times=1)
    assert hub.calls("/api/") == []
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Self
from urllib.request import Request, urlopen

from tests.servers.ports import free_port

NO_ACCESS, GUEST, READ_ONLY, CONTRIBUTOR, ADMINISTRATOR = range(5)
COOKIE = "sharinghub-session"
# The category whose projects MLflow serves by default.
MODELS = ("ai-model",)
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Call:
    """One call that SharingHub got: its path and query, and whether a credential came with it."""

    path: str
    token: bool
    cookies: tuple[str, ...]
    bearer: bool


@dataclass(frozen=True, slots=True)
class SharingHub:
    """A running SharingHub."""

    url: str

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Self]:
        """Run one until the block ends."""
        port = free_port()
        argv = [sys.executable, "-m", "tests.servers.sharinghub", str(port)]
        with subprocess.Popen(argv, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("SharingHub listens")
            try:
                yield cls(f"http://127.0.0.1:{port}")
            finally:
                process.terminate()

    def reset(self) -> None:
        """Forget everything."""
        self._send("reset")

    def token(self, user: str) -> str:
        """Return a new GitLab token of a user."""
        secret = f"glpat-{user}-{token_hex(8)}"
        self._send("token", user=user, secret=secret)
        return secret

    def revoke(self, token: str) -> None:
        """Have GitLab take a token no more; sessions that hold it go on."""
        self._send("revoke", secret=token)

    def project(
        self,
        number: int,
        path: str,
        *,
        categories: Iterable[str] = MODELS,
        others: int = NO_ACCESS,
        **levels: int,
    ) -> None:
        """Add a project, or change it: levels by user, and of everybody else."""
        self._send(
            "project",
            number=number,
            path=path,
            categories=list(categories),
            levels=levels,
            others=others,
        )

    def remove(self, number: int) -> None:
        """Take a project away."""
        self._send("remove", number=number)

    def anonymous(self, *, default_token: str = "", public: bool = False) -> None:
        """Set what those without a credential are: a robot, or GitLab's public."""
        self._send("anonymous", default_token=default_token, public=public)

    def session(self, token: str, *, age: float = 0) -> str:
        """Return the value of a session cookie that is so many seconds old."""
        return str(self._send("session", secret=token, age=age))

    def fault(
        self,
        effect: str = "answer",
        *,
        path: str = "",
        times: int = -1,
        status: int = 200,
        text: str = "",
        kind: str = "application/json",
    ) -> None:
        """Break it for calls with a pattern in their path, so many times or for good.

        `effect` is answer, hang or reset.
        """
        self._send(
            "fault", effect=effect, path=path, times=times, status=status, text=text, kind=kind
        )

    def heal(self) -> None:
        """End every fault."""
        self._send("heal")

    def calls(self, path: str = "") -> list[Call]:
        """Return the calls, oldest first, with a pattern in their path."""
        seen = (Call(**call | {"cookies": tuple(call["cookies"])}) for call in self._send("calls"))
        return [call for call in seen if re.search(path, call.path)]

    def forget_calls(self) -> None:
        """Empty the log of calls."""
        self._send("forget_calls")

    def _send(self, action: str, **arguments: Any) -> Any:
        request = Request(
            f"{self.url}/-/test/{action}", json.dumps(arguments).encode(), method="POST"
        )
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)
