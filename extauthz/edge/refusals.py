"""Refusals: one error tree, each leaf knowing its answer.

Refusal
├── BadRequest         400  the request is malformed or ambiguous
├── Unauthenticated    401  no credential, or a bad one
├── Forbidden          403  a proven caller may not do this at all
├── NotFound           404  no such project for this caller, or no such page
├── MethodNotAllowed   405  a method that MLflow never needs
├── TooManyProjects    409  the global view does not fit into one grant
├── TooManyAttempts    429  an address has sent too many bad credentials
└── Unavailable        503  no definite answer now; worth a retry
"""

from collections.abc import Sequence
from typing import ClassVar, Final


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is not let through.

    `code` is MLflow's error code, which its clients show; `reason` is the metric label. `cookies`
    are the values of Set-Cookie that go with the answer.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    reason: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, message: str, *, cookies: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.cookies = cookies


class BadRequest(Refusal):
    """The request is malformed, or could be read in two ways."""

    status, code, reason = 400, "BAD_REQUEST", "malformed"
    title = "This request cannot be understood"


class Unauthenticated(Refusal):
    """There is no credential, or the provider does not accept it."""

    status, code, reason = 401, "UNAUTHENTICATED", "unauthenticated"
    title = "Please sign in"


class Forbidden(Refusal):
    """The caller is known, and may not do this."""

    status, code, reason = 403, "PERMISSION_DENIED", "forbidden"
    title = "You may not do this"


class NotFound(Refusal):
    """There is nothing here for this caller."""

    status, code, reason = 404, "RESOURCE_DOES_NOT_EXIST", "not_found"
    title = "There is nothing here for you"


class MethodNotAllowed(Refusal):
    """The HTTP method is one that MLflow never needs."""

    status, code, reason = 405, "BAD_REQUEST", "method"
    title = "This method is not allowed"


class TooManyProjects(Refusal):
    """The caller may read more projects than one grant can carry."""

    status, code, reason = 409, "RESOURCE_CONFLICT", "too_many_projects"
    title = "Too many projects for one view"


class TooManyAttempts(Refusal):
    """An address has sent too many credentials that were none; `retry_after` is in seconds."""

    status, code, reason = 429, "REQUEST_LIMIT_EXCEEDED", "too_many_attempts"
    title = "Too many attempts"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Refusal):
    """Nobody could tell in time; `retry_after` is in seconds."""

    status, code, reason = 503, "TEMPORARILY_UNAVAILABLE", "unavailable"
    title = "Permissions cannot be checked right now"

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


REASONS: Final = tuple(
    kind.reason
    for kind in (
        *(BadRequest, Unauthenticated, Forbidden, NotFound, MethodNotAllowed),
        *(TooManyProjects, TooManyAttempts, Unavailable),
    )
)
"""Why requests are refused."""
