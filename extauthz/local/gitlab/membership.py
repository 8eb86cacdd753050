"""Who has which access level, as GitLab's different answers see it."""

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.records import Group, Level, Project, User, Visibility


def max_access_level(instance: Instance, user: User | None, project: Project) -> int:
    """Return the effective level: what `maxAccessLevel` says (GitLab: ProjectAuthorizations).

    Covers direct, inherited and invited membership. An instance administrator who is no member has
    0, and so has minimal access.
    """
    if user is None:
        return 0
    levels = [
        instance.project_members[project.id].get(user.id, 0),
        group_level(instance, user, project.namespace),
        *(
            min(level, group_level(instance, user, instance.groups[group].path))
            for group, level in instance.project_shares[project.id].items()
        ),
    ]
    return max((level for level in levels if level > Level.MINIMAL_ACCESS), default=0)


def group_level(instance: Instance, user: User, path: str) -> int:
    """Return a user's effective level in the group at a path, 0 for minimal access."""
    levels = [
        level
        for group in instance.lineage(path)
        for level in (
            instance.group_members[group.id].get(user.id, 0),
            *_invited_levels(instance, user, group),
        )
    ]
    return max((level for level in levels if level > Level.MINIMAL_ACCESS), default=0)


def _invited_levels(instance: Instance, user: User, group: Group) -> list[int]:
    """Return the levels that groups invited into a group give.

    Only direct members of the invited group count here, while a group invited into a project brings
    its inherited members along (GitLab: sharing projects and groups).
    """
    return [
        min(level, instance.group_members[invited].get(user.id, 0))
        for invited, level in instance.group_shares[group.id].items()
    ]


def project_access(instance: Instance, user: User, project: Project) -> int | None:
    """Return REST's `permissions.project_access`: the project's own member row alone."""
    return instance.project_members[project.id].get(user.id)


def group_access(instance: Instance, user: User, project: Project, *, listed: bool) -> int | None:
    """Return REST's `permissions.group_access`: the highest row in the groups, never a share.

    A list of projects looks at the immediate group only, one project at its ancestors too
    (GitLab: lib/api/entities/project_with_access.rb).
    """
    groups = instance.lineage(project.namespace)
    rows = (
        instance.group_members[group.id].get(user.id)
        for group in groups
        if not listed or group.path.lower() == project.namespace.lower()
    )
    return max((row for row in rows if row is not None), default=None)


def can_read(instance: Instance, user: User | None, project: Project) -> bool:
    """Return whether a user, None if anonymous, can see a project.

    External users see internal projects only as members.
    """
    if project.visibility is Visibility.PUBLIC:
        return True
    if user is None:
        return False
    if user.admin or (project.visibility is Visibility.INTERNAL and not user.external):
        return True
    return max_access_level(instance, user, project) > 0
