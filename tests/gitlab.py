"""A demo GitLab for tests: a real process, changed through its control endpoint.

    with GitLab.start() as gitlab:
        gitlab.create_user("ann")
        project = gitlab.create_project("acme/vision", topics=("mlflow",))
        gitlab.add_member("acme/vision", "ann", DEVELOPER)
        token = gitlab.token("ann")
        gitlab.faults("latency", path="/api/graphql", seconds=2.0, times=1)
        assert len(gitlab.calls("/api/")) == 0

Every method is synchronous and done when it returns, so it serves asynchronous tests as well.
Groups are made with the projects in them; a project below a user's name is a personal one.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.gitlab_browser import Browser
from tests.servers.ports import free_port

GUEST, PLANNER, REPORTER, SECURITY_MANAGER = 10, 15, 20, 25
DEVELOPER, MAINTAINER, OWNER = 30, 40, 50


class Refused(Exception):  # noqa: N818 - named for what happened
    """The demo GitLab would not make a change."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that GitLab got.

    `operation` names the root fields of a GraphQL query, sorted and joined with commas, or the
    grant type at `/oauth/token`; `headers` are the lower-case names of the headers.
    """

    method: str
    path: str
    operation: str
    headers: tuple[str, ...]


class GitLab:
    """A running demo GitLab."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url

    @classmethod
    def start(
        cls, port: int | None = None, *, world: str = "empty", callback: str | None = None
    ) -> Self:
        """Start one and wait until it listens. `world` is `empty` or `demo`.

        `callback` is where the demo's application takes its logins.
        """
        number = port or free_port()
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "extauthz.local.gitlab",
                "--port",
                str(number),
                "--world",
                world,
                *(("--callback", callback) if callback else ()),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if "listens on" not in first_line:
            process.wait()
            process.stdout.close()
            raise RuntimeError(f"The demo GitLab did not start: {first_line}")
        return cls(process, f"http://127.0.0.1:{number}")

    def stop(self) -> int:
        """Stop it, if it still runs; returns the exit code."""
        self._process.terminate()
        code = self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def reset(self, world: str = "empty") -> None:
        """Forget everything: the world, the faults and the calls."""
        self._send("POST", "reset", {"world": world})

    def create_user(
        self, name: str, *, admin: bool = False, external: bool = False, state: str = "active"
    ) -> int:
        """Add a user and return his id."""
        return self._id("create_user", username=name, admin=admin, external=external, state=state)

    def update_user(self, name: str, **changes: object) -> None:
        """Change `state` (active, blocked, deactivated), `admin` or `external`."""
        self.change("update_user", username=name, **changes)

    def block(self, name: str) -> None:
        """Block a user."""
        self.update_user(name, state="blocked")

    def create_group(self, path: str) -> int:
        """Add a group, with those above it, and return its id."""
        return self._id("create_group", path=path)

    def create_project(
        self,
        path: str,
        *,
        visibility: str = "private",
        topics: Iterable[str] = (),
        archived: bool = False,
        id: int | None = None,  # noqa: A002 - the field's name
    ) -> int:
        """Add a project, with the groups it is in, and return its id."""
        return self._id(
            "create_project",
            path=path,
            visibility=visibility,
            topics=list(topics),
            archived=archived,
            id=id,
        )

    def update_project(self, path: str, **changes: object) -> None:
        """Change `visibility`, `topics` or `archived`."""
        self.change("update_project", path=path, **changes)

    def move_project(self, path: str, to: str) -> None:
        """Give a project another path."""
        self.change("move_project", path=path, to=to)

    def delete_project(self, path: str) -> None:
        """Remove a project."""
        self.change("delete_project", path=path)

    def add_member(self, path: str, user: str, level: int) -> None:
        """Set a user's level in a group or a project, by itself."""
        self.change("add_member", path=path, username=user, level=level)

    def remove_member(self, path: str, user: str) -> None:
        """Take a user out of a group or a project."""
        self.change("remove_member", path=path, username=user)

    def share(self, path: str, group: str, level: int) -> None:
        """Invite a group into a group or a project, with at most this level."""
        self.change("share", path=path, group=group, level=level)

    def unshare(self, path: str, group: str) -> None:
        """Take an invited group out again."""
        self.change("unshare", path=path, group=group)

    def token(
        self,
        user: str,
        *,
        scopes: Iterable[str] = ("api",),
        kind: str = "personal",
        expires_in: int | None = None,
        revoked: bool = False,
        permissions: Iterable[str] | None = None,
    ) -> str:
        """Give a user a token and return it.

        `kind` is `personal`, `oauth` or `job`; `expires_in` counts in seconds, negative for an
        expired one, and a personal token lives on until the midnight (UTC) after it;
        `permissions`, such as `Project: Read`, makes a fine-grained one.
        """
        arguments = {
            "username": user,
            "scopes": list(scopes),
            "kind": kind,
            "expires_in": expires_in,
            "revoked": revoked,
            "permissions": None if permissions is None else list(permissions),
        }
        return str(self.change("create_token", **arguments)["secret"])

    def access_token(self, path: str, level: int, *, scopes: Iterable[str] = ("api",)) -> str:
        """Make a project or group access token and return it."""
        made = self.change("create_access_token", path=path, level=level, scopes=list(scopes))
        return str(made["secret"])

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        self.change("update_token", secret=token, revoked=True)

    def create_application(
        self,
        redirect_uris: Iterable[str],
        *,
        scopes: Iterable[str] = ("openid", "profile", "email", "read_user", "api"),
        trusted: bool = False,
    ) -> tuple[str, str]:
        """Register an application; returns its client id and secret. A trusted one never asks."""
        made = self.change(
            "create_application",
            redirect_uris=list(redirect_uris),
            scopes=list(scopes),
            trusted=trusted,
        )
        return made["client_id"], made["secret"]

    def sign_in(
        self, url: str, user: str, *, consent: bool = True, browser: Browser | None = None
    ) -> str:
        """Go from the authorization URL to the callback as a browser does; returns the latter.

        Signs in as the user where GitLab asks, and answers its consent page. A browser that is
        given stays signed in; raises PageShown where GitLab shows something else.
        """
        return (browser or Browser(self.url)).sign_in(url, user, consent=consent)

    def mint_id_token(
        self,
        project_path: str,
        user: str,
        audience: str | list[str],
        /,
        *,
        timeout: int = 3600,
        **overrides: object,
    ) -> str:
        """Return the id_token of a CI job of a project, started by a user.

        The job has `timeout` seconds. Overrides replace claims; one that is None goes missing.
        """
        made = self.change(
            "mint_id_token",
            path=project_path,
            username=user,
            audience=audience,
            timeout=timeout,
            overrides=overrides,
        )
        return str(made)

    def tamper(self, **knobs: object) -> None:
        """Be wrong in these ways and no others; without any, be right again.

        The knobs are the fields of `extauthz.local.gitlab.oauth.tampering.Tampering`:
        `claims={"nonce": "other"}`, `algorithm="none"`, `access_token_lifetime=5` and so on.
        """
        self.change("tamper", knobs=knobs)

    def rotate_keys(self, *, keep_previous: bool = False) -> dict[str, str]:
        """Sign with new keys, and publish the old ones only if told; returns the new ids."""
        made: dict[str, str] = self.change("rotate_keys", keep_previous=keep_previous)
        return made

    def expire_access_tokens(self, user: str) -> None:
        """Let the access tokens of a user run out, as after two hours; they can be refreshed."""
        self.change("expire_access_tokens", username=user)

    def revoke_applications(self, user: str) -> None:
        """Revoke the tokens that applications hold of a user."""
        self.change("revoke_applications", username=user)

    def sign_out(self, user: str) -> None:
        """End a user's GitLab sessions in every browser."""
        self.change("sign_out", username=user)

    def set_version(self, version: str) -> None:
        """Be another release, for instance `16.8`, which has no `maxAccessLevel` in GraphQL."""
        self.change("set_version", version=version)

    def change(self, name: str, /, **arguments: object) -> Any:
        """Make any change of `extauthz.local.gitlab.instance.Instance` by its method's name."""
        return self._send("POST", name, arguments)

    def batch(self, *changes: tuple[str, dict[str, object]]) -> list[Any]:
        """Make many changes in one call: pairs of a method's name and its arguments."""
        made: list[Any] = self._send("POST", "batch", changes)
        return made

    def faults(self, effect: str, **details: object) -> None:
        """Break GitLab's API until `heal`.

        `effect` is latency, throttle, error, html, reset, hang, truncate, huge or redirect; `path`
        is a regular expression searched in the raw path and `times` a count. `seconds` belongs to
        latency and throttle, `status` to error and html, `size` to huge, `location` to redirect.
        """
        self._send("POST", "faults", {"effect": effect, **details})

    def heal(self) -> None:
        """End every fault."""
        self._send("DELETE", "faults")

    def calls(self, path: str = "") -> list[Call]:
        """Return the API's calls, oldest first, whose raw path has a regular expression in it."""
        found = self._send("GET", f"calls?path={quote(path)}")
        return [Call(**{**call, "headers": tuple(call["headers"])}) for call in found]

    def forget_calls(self) -> None:
        """Empty the log of calls."""
        self._send("DELETE", "calls")

    def _id(self, name: str, **arguments: object) -> int:
        return int(self.change(name, **arguments)["id"])

    def _send(self, method: str, action: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/-/demo/{action}", data, method=method)
        try:
            with urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise Refused(error.read().decode()) from None
