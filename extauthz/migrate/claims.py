"""Claims: whose something is, as far as that is beyond doubt."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from extauthz.edge.scope import is_project_path
from extauthz.migrate.content import Experiment, Model
from extauthz.migrate.plan import Why
from extauthz.migrate.projects import Directory
from extauthz.plugin.context import workspace_of

Thing = Experiment | Model

# mlflow-sharinghub had every name end in the id of its project, so the name is a second witness.
_SUFFIX: Final = re.compile(r"\s\(([0-9]{1,19})\)\Z")


class Stays(Exception):  # noqa: N818 - says what it is
    """Something stays where it is."""

    def __init__(self, why: Why, detail: str) -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


class Tagged:
    """Whose things are by the paths that their tags name."""

    def __init__(
        self, directory: Directory, things: Iterable[Thing], *, tag: str, by_suffix: bool = True
    ) -> None:
        """Look up all the paths; raises Failed where that cannot be done."""
        paths = {thing.tag for thing in things if thing.tag is not None}
        self._known = directory.projects(path for path in paths if is_project_path(path))
        self._paths = defaultdict[str, set[str]](set)
        for path, project in self._known.items():
            self._paths[workspace_of(project.id)] |= {path, project.path}
        self._tag = tag
        self._by_suffix = by_suffix

    def __call__(self, thing: Thing) -> str:
        """Return the workspace of the project that something belongs to; raises Stays."""
        if thing.tag is None:
            raise Stays(Why.UNTAGGED, f"it has no tag `{self._tag}`")
        project = self._known.get(thing.tag)
        if project is None:
            raise Stays(Why.UNKNOWN, f"its tag names {thing.tag!r}, which is no known project")
        suffix = _SUFFIX.search(thing.name)
        if self._by_suffix and suffix and int(suffix[1]) != project.id:
            # The path may have been taken by another project since.
            raise Stays(
                Why.AMBIGUOUS,
                f"its tag names {thing.tag!r}, which is project {project.id}, its name {suffix[1]}",
            )
        return workspace_of(project.id)

    def paths_of(self, workspace: str) -> tuple[str, ...]:
        """Return by which paths a project is known here, the present one among them."""
        return tuple(sorted(self._paths.get(workspace, ())))
