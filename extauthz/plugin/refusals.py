"""Refusals, in the shape in which MLflow's clients read errors.

Refusal
├── Malformed    400  no honest client sends this
├── Denied       403  the role or the view does not allow it
├── Missing      404  nothing of this name exists for the caller
├── Ambiguous    409  several projects have what is named
└── Unavailable  503  may succeed soon; MLflow's clients try again
"""

from typing import ClassVar, Final

RETRY_AFTER: Final = 5


class Refusal(Exception):  # noqa: N818 - the tree reads better without suffixes
    """A request that must not reach MLflow's handlers; its text is shown to the caller."""

    status: ClassVar[int]
    error_code: ClassVar[str]

    def body(self) -> dict[str, str]:
        """Return what MLflow's clients expect of an error."""
        return {"error_code": self.error_code, "message": str(self)}

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the answer."""
        return {"Cache-Control": "no-store"}


class Malformed(Refusal):
    """The request is ambiguous or not well-formed."""

    status = 400
    error_code = "INVALID_PARAMETER_VALUE"


class Denied(Refusal):
    """The grant does not allow the request."""

    status = 403
    error_code = "PERMISSION_DENIED"


class Missing(Refusal):
    """What the request names does not exist for the caller."""

    status = 404
    error_code = "RESOURCE_DOES_NOT_EXIST"


class Ambiguous(Refusal):
    """Several of the caller's projects have what the request names."""

    status = 409
    # MLflow's page of a model shows the message of no other code.
    error_code = "PERMISSION_DENIED"


class Unavailable(Refusal):
    """The request cannot be decided or carried out now."""

    status = 503
    error_code = "TEMPORARILY_UNAVAILABLE"

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the answer."""
        return {**super().headers(), "Retry-After": str(RETRY_AFTER)}
