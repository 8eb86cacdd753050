"""Refusals of GitLab's API, with the bodies it really sends."""

from collections.abc import Iterable, Mapping


class ApiError(Exception):
    """An answer of an error status with a JSON body."""

    def __init__(self, status: int, body: Mapping[str, object]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


class Moved(Exception):  # noqa: N818 - a redirect, not an error
    """The project is elsewhere: ask again by id."""

    def __init__(self, project_id: int) -> None:
        super().__init__(project_id)
        self.project_id = project_id


class AccountBlocked(ApiError):  # noqa: N818 - named for what happened
    """The token works but its account may not use the API."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, {"message": f"403 Forbidden - {reason}"})


def bad_request(reason: str) -> ApiError:
    """Return what an unusable parameter gets."""
    return ApiError(400, {"message": f"400 Bad request - {reason}"})


def unauthorized() -> ApiError:
    """Return what an unknown token gets, and nobody at all where somebody is needed."""
    return ApiError(401, {"message": "401 Unauthorized"})


def invalid_token(description: str) -> ApiError:
    """Return what a known token that is no longer good gets."""
    return ApiError(401, {"error": "invalid_token", "error_description": description})


def insufficient_scope(wanted: Iterable[str]) -> ApiError:
    """Return what a token without any of the wanted scopes gets."""
    return ApiError(
        403,
        {
            "error": "insufficient_scope",
            "error_description": (
                "The request requires higher privileges than provided by the access token."
            ),
            "scope": " ".join(wanted),
        },
    )


def insufficient_granular_scope(description: str) -> ApiError:
    """Return what a fine-grained token without the wanted permission gets."""
    return ApiError(403, {"error": "insufficient_granular_scope", "error_description": description})


def not_found(what: str) -> ApiError:
    """Return what a missing or invisible thing gets."""
    return ApiError(404, {"message": f"404 {what} Not Found"})
