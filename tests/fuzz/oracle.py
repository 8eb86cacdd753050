"""What a question may at most be answered with, found out in another way than the edge does.

Another parser reads the question (envoy-data-plane's) where it can, and nothing of the edge is
called.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from envoy_data_plane.envoy.config.core.v3 import HeaderValueOption
from envoy_data_plane.envoy.service.auth.v3 import CheckRequest, CheckResponse

from extauthz._pb import external_auth_pb2
from extauthz.grant import HEADER, Grant, View
from extauthz.levels import Role
from tests.fuzz.core import ORIGIN, PROJECTS, VERIFIER, Core, Person

_PUBLIC: Final = re.compile(r"/(?:health|version|static-files/[^?]*)(?:\?.*)?", re.DOTALL)
_PAGES: Final = re.compile(r"/auth(?:/|/login|/authorize|/logout)?(?:\?.*)?", re.DOTALL)
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_METHODS: Final = (*_SAFE, "POST", "PUT", "PATCH", "DELETE")
_TOKENS: Final = ("private-token", "x-gitlab-token")
# What HTTP takes as a name and as a value of a header (RFC 9110, 5.1 and 5.5).
_NAME: Final = re.compile(r":path|[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an answer lets through."""

    grant: Grant
    target: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is said of a request; names of headers are in lower case, as Envoy writes them."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Return the values of a header, of which Envoy sends one."""
        return [value for key, value in self.headers if key == name]


def check(core: Core, payload: bytes) -> Allowed | int:
    """Ask, and hold that the answer is well-formed and no more than may be; returns it."""
    raw = core.answer(payload)
    assert raw, "an empty answer would allow"
    answer = CheckResponse.parse(raw)
    assert answer.status is not None
    if answer.status.code != 0:
        return _denied(core, answer)
    allowed = _allowed(answer)
    _hold(core, read(payload), allowed)
    return allowed


def read(payload: bytes) -> Question:
    """Return what a question says of the request."""
    try:
        return _read(payload)
    except Exception:  # noqa: BLE001 - it is strict about parts of a message that the edge never reads
        http = external_auth_pb2.CheckRequest.FromString(payload).attributes.request.http
        values = [(each.key, each.value or each.raw_value) for each in http.header_map.headers]
        return _question(http.method, http.path, [*http.headers.items()], values)


def _read(payload: bytes) -> Question:
    attributes = CheckRequest.parse(payload).attributes
    assert attributes is not None
    assert attributes.request is not None
    http = attributes.request.http
    assert http is not None
    raw = http.header_map.headers if http.header_map else ()
    values = [(each.key, each.value or each.raw_value) for each in raw]
    return _question(http.method, http.path, [*http.headers.items()], values)


def _question(
    method: str, path: str, plain: list[tuple[str, str]], raw: list[tuple[str, str | bytes]]
) -> Question:
    headers = tuple(
        (name.lower(), value if isinstance(value, str) else value.decode("latin-1"))
        for name, value in (*plain, *raw)
    )
    return Question(method, path, headers)


def _denied(core: Core, answer: CheckResponse) -> int:
    assert answer.ok_response is None
    assert answer.denied_response is not None
    assert answer.denied_response.status is not None
    status = int(answer.denied_response.status.code)
    assert 300 <= status <= 599
    headers = dict(_headers(answer.denied_response.headers))
    location = headers.get("location", "/")
    # Behind one slash, nothing of a location is a host.
    assert re.match(r"/(?![/\\])", location) or location.startswith(core.homes), location
    return status


def _allowed(answer: CheckResponse) -> Allowed:
    assert answer.denied_response is None
    assert answer.ok_response is not None
    headers = dict(_headers(answer.ok_response.headers))
    assert set(headers) == {HEADER, ":path"}
    assert HEADER not in answer.ok_response.headers_to_remove
    list(_headers(answer.ok_response.response_headers_to_add))
    return Allowed(VERIFIER.open(headers[HEADER]), headers[":path"])


def _headers(options: list[HeaderValueOption]) -> Iterator[tuple[str, str]]:
    for option in options:
        assert option.header is not None
        assert _NAME.fullmatch(option.header.key), option
        assert _VALUE.fullmatch(option.header.value), option
        yield option.header.key, option.header.value


def _hold(core: Core, asked: Question, allowed: Allowed) -> None:
    grant, target = allowed.grant, allowed.target
    assert asked.method in _METHODS
    assert asked.path.endswith(target)
    if grant.view is View.PUBLIC:
        _hold_public(asked.method, asked.path, target)
        return
    if asked.method not in _SAFE:
        assert set(asked.values("origin")) <= {ORIGIN}
        assert set(asked.values("sec-fetch-site")) <= {"same-origin"}
    callers = [person for person in core.people.values() if _has_sent(core, person, asked)]
    assert any(_covers(person, grant, asked.path, target) for person in callers), (asked, grant)


def _hold_public(method: str, path: str, target: str) -> None:
    """What shows nothing: liveness, version, the UI's files, and the pages of the edge itself."""
    if _PAGES.fullmatch(target):
        assert path == target
        return
    assert method in ("GET", "HEAD")
    assert _PUBLIC.fullmatch(target)
    # Its server decodes once, which must not lead out of there.
    assert not {".", ".."} & set(unquote(target.partition("?")[0]).split("/"))


def _has_sent(core: Core, person: Person, asked: Question) -> bool:
    explicit = {value.strip() for name in _TOKENS for value in asked.values(name)}
    for value in asked.values("authorization"):
        scheme, _, rest = value.partition(" ")
        explicit.add(_password(rest) if scheme.lower() == "basic" else rest.strip())
    if person.is_cookie:
        pairs = [pair.strip(" \t") for value in asked.values("cookie") for pair in value.split(";")]
        return not explicit and f"{core.cookie}={person.secret}" in pairs
    if person.is_visitor:
        return explicit <= {""}
    # Two tokens that differ are nobody's, and none gives way to a cookie.
    return explicit == {person.secret}


def _password(encoded: str) -> str:
    try:
        return b64decode(encoded).decode().partition(":")[2]
    except ValueError:
        return ""


def _covers(person: Person, grant: Grant, path: str, target: str) -> bool:
    if grant.view is View.GLOBAL:
        readable = sorted(PROJECTS[path] for path in person.roles)
        reads = grant.role is Role.READ and person.everywhere
        return reads and list(grant.projects) == readable and path == target
    role = person.roles.get(grant.project_path)
    return (
        grant.view is View.PROJECT
        and role is not None
        and (grant.role is Role.READ or role is Role.WRITE)
        and PROJECTS[grant.project_path] == grant.project_id
        and path.lower() == f"/{grant.project_path}/tracking{target}".lower()
    )
