"""Answers: a decision as the bytes of a CheckResponse.

Envoy looks at `status.code` alone: 0 allows, whatever else the message says, and so does an empty
message. A denied response with a 2xx status would look like a success. So only `allow` sets the
code 0, only with a grant, and `deny` refuses anything below 300.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from extauthz._pb.external_auth_pb2 import (
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from extauthz.edge.errors import (
    HeaderCookies,
    Refusal,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from extauthz.edge.page import SECURITY_POLICY, Link, refusal_page
from extauthz.grant import HEADER
from extauthz.headers import REMOVED

# google.rpc.Code
_OK: Final = 0
_PERMISSION_DENIED: Final = 7


@dataclass(frozen=True, slots=True)
class Allow:
    """Forward to MLflow under a signed grant, with this path and query as the target."""

    grant: str
    target: str


@dataclass(frozen=True, slots=True)
class Deny:
    """Answer with a refusal, as a page if a person asked, else as MLflow's JSON."""

    refusal: Refusal
    page: bool = False
    request_id: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Send the client to the same place under its right name; keeps the method (RFC 9110)."""

    location: str


@dataclass(frozen=True, slots=True)
class Found:
    """Send a browser elsewhere, and have it keep cookies (values of Set-Cookie)."""

    location: str
    cookies: tuple[str, ...] = ()


Decision = Allow | Deny | Moved | Found


def encode(decision: Decision) -> bytes:
    """Serialise a decision."""
    match decision:
        case Allow(grant, target):
            return _allow(grant, target)
        case Deny():
            return _refuse(decision)
        case Moved(location):
            return _deny(308, {"location": location, "cache-control": "no-store"})
        case Found(location, cookies):
            headers = {"location": location, "cache-control": "private, no-store"}
            return _deny(302, headers, cookies=cookies)


def _allow(grant: str, target: str) -> bytes:
    if not grant or not target.startswith("/"):
        raise ValueError("an allowed request needs a grant and a path")
    return CheckResponse(
        status=Status(code=_OK),
        ok_response=OkHttpResponse(
            headers=_options({HEADER: grant, ":path": target}), headers_to_remove=REMOVED
        ),
    ).SerializeToString()


def _refuse(denial: Deny) -> bytes:
    refusal = denial.refusal
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if isinstance(refusal, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="MLflow"'
    if isinstance(refusal, TooManyAttempts | Unavailable):
        headers["retry-after"] = str(refusal.retry_after)
    if denial.page:
        headers["content-type"] = "text/html; charset=utf-8"
        headers["content-security-policy"] = SECURITY_POLICY
        body = refusal_page(refusal, request_id=denial.request_id, link=denial.link)
    else:
        headers["content-type"] = "application/json"
        body = json.dumps({"error_code": refusal.code, "message": refusal.message})
    cookies = refusal.expired if isinstance(refusal, HeaderCookies) else ()
    return _deny(refusal.status, headers, body, cookies=cookies)


def _deny(
    status: int, headers: Mapping[str, str], body: str = "", *, cookies: Iterable[str] = ()
) -> bytes:
    if not 300 <= status <= 599:  # noqa: PLR2004 - a 2xx denial would look like a success
        raise ValueError("a denial needs a 3xx, 4xx or 5xx status")
    options = [*_options(headers), *(_set_cookie(cookie) for cookie in cookies)]
    return CheckResponse(
        status=Status(code=_PERMISSION_DENIED),
        denied_response=DeniedHttpResponse(
            status=HttpStatus(code=status), headers=options, body=body
        ),
    ).SerializeToString()


def _set_cookie(cookie: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=HeaderValue(key="set-cookie", value=cookie),
        append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD,
    )


def _options(headers: Mapping[str, str]) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(
            header=HeaderValue(key=name, value=value),
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in headers.items()
    ]
