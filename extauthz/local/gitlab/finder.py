"""Lists of projects: what a user sees of them, filtered and ordered."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import can_read, max_access_level
from extauthz.local.gitlab.records import Project, User, Visibility


@dataclass(frozen=True, slots=True)
class Filter:
    """What to list. `archived` is None for both; topics must all be there, in their exact case."""

    membership: bool = False
    min_access_level: int | None = None
    topics: tuple[str, ...] = ()
    archived: bool | None = None
    visibility: Visibility | None = None
    ids: Collection[int] | None = None
    paths: Collection[str] = ()

    def matches(self, project: Project) -> bool:
        """Return whether a project has the wanted properties."""
        return (
            set(self.topics) <= set(project.topics)
            and self.archived in (None, project.archived)
            and self.visibility in (None, project.visibility)
            and (self.ids is None or project.id in self.ids)
            and (not self.paths or project.path.lower() in {path.lower() for path in self.paths})
        )


def find_projects(instance: Instance, user: User | None, wanted: Filter) -> list[Project]:
    """Return the projects in ascending order of their ids.

    With `membership` or a minimum level only projects the user is authorized in are searched, so
    that neither public ones nor what an administrator sees are among them (GitLab: ProjectsFinder).
    """
    candidates = (project for _, project in sorted(instance.projects.items()))
    return [
        project
        for project in candidates
        if wanted.matches(project) and _visible(instance, user, project, wanted)
    ]


def _visible(instance: Instance, user: User | None, project: Project, wanted: Filter) -> bool:
    if wanted.min_access_level is not None or wanted.membership:
        least = max(wanted.min_access_level or 0, 1)
        return max_access_level(instance, user, project) >= least
    return can_read(instance, user, project)


def topics_of(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of topics."""
    return tuple(_filled(text.split(",")))


def _filled(names: Iterable[str]) -> Iterable[str]:
    return (name.strip() for name in names if name.strip())
