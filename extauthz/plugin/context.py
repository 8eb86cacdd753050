"""The grant that the running request acts under.

A ContextVar follows a request into MLflow's worker threads. A thread that MLflow starts by
itself has no grant, and so sees and writes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from extauthz.grant import Grant, View

_grant: Final[ContextVar[Grant | None]] = ContextVar("extauthz_grant", default=None)


def current() -> Grant | None:
    """Return the grant of the running request, None outside of one."""
    return _grant.get()


@contextmanager
def acting_under(grant: Grant) -> Iterator[None]:
    """Run a block, and what it awaits, under a grant."""
    token = _grant.set(grant)
    try:
        yield
    finally:
        _grant.reset(token)


def narrow_to(grant: Grant) -> None:
    """Have the rest of the running request act under a grant that shows less.

    Holds in the thread that serves it, and ends with it.
    """
    _grant.set(grant)


def in_view(view: View) -> bool:
    """Return whether the running request sees MLflow in this view."""
    grant = current()
    return grant is not None and grant.view is view


def workspace_of(project_id: int) -> str:
    """Return the name of the workspace that holds a project's rows and files."""
    return f"p{project_id}"


def project_of(workspace: str) -> int:
    """Return the id of the project whose rows and files a workspace holds."""
    return int(workspace.removeprefix("p"))


def workspaces() -> tuple[str, ...]:
    """Return the workspaces that the running request may see, in ascending order of their ids."""
    grant = current()
    if grant is None:
        return ()
    if grant.view is View.PROJECT:
        return (workspace_of(grant.project_id),)
    return tuple(workspace_of(project) for project in grant.projects)
