"""GitLab access levels and the roles they give."""

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """The access levels extauthz decides on; GitLab has more, and adds new ones between them."""

    NONE = 0
    GUEST = 10
    DEVELOPER = 30


class Role(StrEnum):
    """What a caller may do in a project."""

    READ = "read"
    WRITE = "write"


def role_of(level: int) -> Role | None:
    """Return the role a GitLab access level gives, None for no access.

    Compares with >=, so Planner (15), Security manager (25) and whatever GitLab adds next keep
    the rights of the level below them.
    """
    if level >= Level.DEVELOPER:
        return Role.WRITE
    if level >= Level.GUEST:
        return Role.READ
    return None
