"""The JSON that REST shows of users, members, projects and tokens."""

from typing import Any

from yarl import URL

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import group_access, project_access
from extauthz.local.gitlab.records import Project, Token, User

# Nobody looks at the time at which something was made, but the field is always there.
_CREATED = "2026-01-01T00:00:00.000Z"
Entity = dict[str, Any]


def user_entity(user: User, base: URL) -> Entity:
    """Return a user as `GET /user` shows him to himself."""
    return {
        **_user_basic(user, base),
        "created_at": _CREATED,
        "bot": user.bot,
        "external": user.external,
        "email": user.email,
    } | ({"is_admin": True} if user.admin else {})


def member_entity(user: User, level: int, base: URL) -> Entity:
    """Return a user as a member of a project."""
    return {
        **_user_basic(user, base),
        "access_level": level,
        "created_at": _CREATED,
        "expires_at": None,
        "membership_state": "active",
    }


def simple_project_entity(project: Project, base: URL) -> Entity:
    """Return what anonymous callers and `simple=true` see: neither visibility nor permissions."""
    web_url = str(base / project.path)
    return {
        "id": project.id,
        "description": None,
        "name": project.slug,
        "name_with_namespace": project.path.replace("/", " / "),
        "path": project.slug,
        "path_with_namespace": project.path,
        "created_at": _CREATED,
        "default_branch": "main",
        "tag_list": sorted(project.topics),
        "topics": sorted(project.topics),
        "http_url_to_repo": f"{web_url}.git",
        "web_url": web_url,
        "star_count": 0,
        "last_activity_at": _CREATED,
        "namespace": {
            "name": project.namespace.rpartition("/")[2],
            "path": project.namespace.rpartition("/")[2],
            "full_path": project.namespace,
        },
    }


def project_entity(
    instance: Instance, user: User, project: Project, base: URL, *, listed: bool
) -> Entity:
    """Return a project with the caller's permissions, which are lossy."""
    return {
        **simple_project_entity(project, base),
        "archived": project.archived,
        "visibility": project.visibility.value,
        "permissions": {
            "project_access": _access(project_access(instance, user, project)),
            "group_access": _access(group_access(instance, user, project, listed=listed)),
        },
    }


def personal_token_entity(token: Token) -> Entity:
    """Return what a personal access token says of itself; its end is a date."""
    granular = {} if token.permissions is None else {"granular": True}
    return {
        "id": token.id,
        "name": token.name,
        "revoked": token.revoked,
        "created_at": token.created.isoformat(),
        "description": None,
        "scopes": list(token.scopes),
        "user_id": token.user_id,
        "last_used_at": None,
        "active": not token.revoked and not token.expired,
        "expires_at": token.expires and token.expires.date().isoformat(),
    } | granular


def oauth_token_entity(token: Token, client_id: str) -> Entity:
    """Return what `/oauth/token/info` says of a token and of the application it is for."""
    return {
        "resource_owner_id": token.user_id,
        "scope": list(token.scopes),
        "expires_in": token.seconds_left,
        "application": {"uid": client_id},
        "created_at": int(token.created.timestamp()),
    }


def _user_basic(user: User, base: URL) -> Entity:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "state": user.state.value,
        "avatar_url": None,
        "web_url": str(base / user.username),
    }


def _access(level: int | None) -> Entity | None:
    return None if level is None else {"access_level": level, "notification_level": 3}
