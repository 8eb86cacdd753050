"""Answers: a decision as the bytes of a CheckResponse.

Envoy looks at `status.code` alone: 0 allows, whatever else the message says, and so does an empty
message. A denied response with a 2xx status would look like a success. So only `allow` sets the
code 0, only with a grant, and `deny` refuses anything below 300.
"""

import json
from collections.abc import Mapping, Sequence
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
from extauthz.edge.page import Link, refusal_page, refusal_policy
from extauthz.edge.refusals import (
    Refusal,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from extauthz.grant import HEADER
from extauthz.headers import REMOVED

# google.rpc.Code
_OK: Final = 0
_PERMISSION_DENIED: Final = 7
PRIVATE: Final = "private, no-store"


@dataclass(frozen=True, slots=True)
class Allow:
    """Forward to MLflow under a signed grant, with this path and query as the target.

    `cookies` (values of Set-Cookie) go with MLflow's answer. `subject` is whom the grant names.
    """

    grant: str
    target: str
    cookies: Sequence[str] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """Answer with a refusal, as a page if a person asked, else as MLflow's JSON."""

    refusal: Refusal
    page: bool = False
    request_id: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class ToPages:
    """Forward to our own pages, which find out for themselves who it is.

    The grant makes nothing visible in MLflow; it tells the pages that the request was checked.
    """

    target: str
    grant: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """Send the client to the same place under its right name; keeps the method (RFC 9110)."""

    location: str


@dataclass(frozen=True, slots=True)
class Found:
    """Send a browser elsewhere, and have it keep cookies (values of Set-Cookie)."""

    location: str
    cookies: Sequence[str] = ()


Decision = Allow | ToPages | Deny | Moved | Found


def encode(decision: Decision, *, framed_by: Sequence[str] = ()) -> bytes:
    """Serialise a decision; pages of the origins in `framed_by` may show a refusal in a frame."""
    match decision:
        case Allow(grant, target, cookies):
            return _allow(_TO_MLFLOW, grant, target, cookies)
        case ToPages(target, grant):
            return _allow(_TO_PAGES, grant, target)
        case Deny():
            return _refuse(decision, framed_by)
        case Moved(location):
            return _deny(308, {"location": location, "cache-control": "no-store"})
        case Found(location, cookies):
            return _deny(302, {"location": location, "cache-control": PRIVATE}, cookies=cookies)


def _allow(form: bytes, grant: str, target: str, cookies: Sequence[str] = ()) -> bytes:
    if not grant or not target.startswith("/"):
        raise ValueError("an allowed request needs a grant and a path")
    response = CheckResponse.FromString(form)
    signed, path = response.ok_response.headers
    signed.header.value = grant
    path.header.value = target
    if cookies:
        response.ok_response.response_headers_to_add.extend(_with_cookies({}, cookies))
    return response.SerializeToString()


def _refuse(denial: Deny, framed_by: Sequence[str]) -> bytes:
    refusal = denial.refusal
    headers = {"cache-control": PRIVATE, "x-content-type-options": "nosniff"}
    if isinstance(refusal, Unauthenticated):
        headers["www-authenticate"] = 'Bearer realm="MLflow"'
    if isinstance(refusal, TooManyAttempts | Unavailable):
        headers["retry-after"] = str(refusal.retry_after)
    if denial.page:
        headers["content-type"] = "text/html; charset=utf-8"
        headers["content-security-policy"] = refusal_policy(framed_by)
        body = refusal_page(refusal, request_id=denial.request_id, link=denial.link)
    else:
        headers["content-type"] = "application/json"
        body = json.dumps({"error_code": refusal.code, "message": refusal.message})
    return _deny(refusal.status, headers, body, cookies=refusal.cookies)


def _deny(
    status: int, headers: Mapping[str, str], body: str = "", *, cookies: Sequence[str] = ()
) -> bytes:
    if not 300 <= status <= 599:  # noqa: PLR2004 - a 2xx denial would look like a success
        raise ValueError("a denial needs a 3xx, 4xx or 5xx status")
    return CheckResponse(
        status=Status(code=_PERMISSION_DENIED),
        denied_response=DeniedHttpResponse(
            status=HttpStatus(code=status), headers=_with_cookies(headers, cookies), body=body
        ),
    ).SerializeToString()


def _with_cookies(headers: Mapping[str, str], cookies: Sequence[str]) -> list[HeaderValueOption]:
    """Return headers and cookies, in an answer that is kept by nobody but the browser."""
    if cookies:
        headers = {**headers, "cache-control": PRIVATE}
    return [*_options(headers), *(_set_cookie(cookie) for cookie in cookies)]


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


def _form(removed: Sequence[str]) -> bytes:
    """Return an OK that lacks only grant and target: to fill it in is cheaper than to build it."""
    return CheckResponse(
        status=Status(code=_OK),
        ok_response=OkHttpResponse(
            headers=_options({HEADER: "", ":path": ""}), headers_to_remove=removed
        ),
    ).SerializeToString()


_TO_MLFLOW: Final = _form(REMOVED)
# Our pages need the cookies; MLflow must never hold them.
_TO_PAGES: Final = _form([name for name in REMOVED if name != "cookie"])
