"""The GitLab that most tests ask: two projects of one group, and its members."""

from typing import Final

from tests.gitlab import GitLab

PATH: Final = "acme/vision/detector"
OTHER: Final = "acme/vision/other"


def acme(gitlab: GitLab, **members: int) -> GitLab:
    """Make a GitLab new, with the projects 1 and 2 and the members' levels in both; returns it."""
    gitlab.reset()
    for path in (PATH, OTHER):
        gitlab.create_project(path)
    for name, level in members.items():
        gitlab.create_user(name)
        gitlab.add_member("acme", name, level)
    return gitlab
