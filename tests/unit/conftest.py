"""One demo GitLab for all tests of a process; each test starts by making it new."""

from collections.abc import Iterator

import pytest

from tests.gitlab import GitLab


@pytest.fixture(scope="session")
def running() -> Iterator[GitLab]:
    """A GitLab as the test before has left it: call its `reset` first."""
    with GitLab.start() as gitlab:
        yield gitlab
