"""SharingHub's answers, read strictly: what has not exactly the expected shape is no answer."""

from typing import Final

from extauthz.edge.outage import Outage
from extauthz.edge.provider import Project, Visibility
from extauthz.edge.refusals import Unauthenticated
from extauthz.levels import Level

# SharingHub's own levels: guest, read only, contributor, administrator. It says 0 for no access,
# and a number that it does not have yet gives none either.
_LEVELS: Final = {
    1: Level.GUEST,
    2: Level.GUEST,
    3: Level.DEVELOPER,
    4: Level.DEVELOPER,
}


def unreadable() -> Outage:
    """Return the error for an answer that says something else than was asked."""
    return Outage("SharingHub gave an answer that could not be understood.")


def project_of(body: object, *, visitor: bool) -> Project:
    """Read the answer about a project.

    A visitor has no level of his own, whatever SharingHub's default token has: what it shows him
    is public. SharingHub counts archived projects as read only.
    """
    match body:
        case {
            "id": int(number),
            "name": str(),
            "path": str(path),
            "categories": list(categories),
            "access_level": int(said),
        } if number > 0 and not isinstance(number, bool) and not isinstance(said, bool):
            level = _LEVELS.get(said, Level.NONE)
            shown = visitor and level is not Level.NONE
            return Project(
                id=number,
                path=path,
                level=Level.NONE if visitor else level,
                topics=frozenset(name for name in categories if isinstance(name, str)),
                archived=False,
                visibility=Visibility.PUBLIC if shown else Visibility.PRIVATE,
            )
    raise unreadable()


def token_of(body: object) -> str:
    """Read the GitLab token in a session; raises Unauthenticated when there is none.

    SharingHub's public mode answers with an empty one to everybody.
    """
    match body:
        case {"access_token": str(token)}:
            if not token:
                raise no_session()
            return token
    raise unreadable()


def no_session() -> Unauthenticated:
    """Return the refusal of a session that SharingHub does not know."""
    return Unauthenticated("There is no such SharingHub session.")


def is_refusal(body: object) -> bool:
    """Tell whether SharingHub itself worded an error, and not something in front of it."""
    match body:
        case {"detail": str()}:
            return True
    return False


def is_uncategorised(body: object) -> bool:
    """Tell its 500 for a project without a known category from real trouble."""
    match body:
        case {"detail": str(detail)}:
            return detail.startswith("Category not found")
    return False
