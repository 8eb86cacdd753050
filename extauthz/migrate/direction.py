"""The direction: into the workspaces of the projects, or back out of them."""

import re
from enum import Enum
from typing import Final

from extauthz.migrate.locations import DEFAULT

_PROJECT: Final = re.compile(r"p[1-9][0-9]{0,18}")


class Direction(Enum):
    """Which way things move."""

    INTO = "into"
    BACK = "back"

    def source(self, workspace: str) -> str:
        """Return the workspace in which the things of a project are."""
        return DEFAULT if self is Direction.INTO else workspace

    def target(self, workspace: str) -> str:
        """Return the workspace in which they are to be."""
        return workspace if self is Direction.INTO else DEFAULT

    def takes(self, workspace: str) -> bool:
        """Tell whether things in a workspace are to move."""
        return workspace == DEFAULT if self is Direction.INTO else is_projects(workspace)

    def has_moved(self, workspace: str) -> bool:
        """Tell whether things in a workspace are where they belong."""
        return is_projects(workspace) if self is Direction.INTO else workspace == DEFAULT


def is_projects(workspace: str) -> bool:
    """Tell whether a workspace is that of a project."""
    return _PROJECT.fullmatch(workspace) is not None
