"""Operations: what other servers are asked for, and how it ends."""

from enum import StrEnum


class Operation(StrEnum):
    """What another server is asked for."""

    PROJECT = "project"
    PROJECTS = "projects"
    MEMBER = "member"
    USER = "user"
    TOKEN = "token"  # noqa: S105 - an operation, not a secret
    SESSION = "session"
    OWNED = "owned"
    DISCOVERY = "discovery"
    KEYS = "keys"
    LOGIN = "login"
    REFRESH = "refresh"
    REVOKE = "revoke"


class Called(StrEnum):
    """How a call ended. SKIPPED was never made, since the server was down a moment ago."""

    ANSWERED = "answered"
    THROTTLED = "throttled"
    TROUBLE = "trouble"
    SKIPPED = "skipped"
    BUSY = "busy"
    CANCELLED = "cancelled"
