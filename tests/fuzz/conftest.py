from collections.abc import Iterator

import pytest

from tests.fuzz.core import Core, before_gitlab, before_sharinghub


@pytest.fixture(scope="module")
def core() -> Iterator[Core]:
    """The decision core before a demo GitLab."""
    with before_gitlab() as running:
        yield running


@pytest.fixture(scope="module")
def hub_core() -> Iterator[Core]:
    """The decision core before a SharingHub that shows some of its projects to everybody."""
    with before_sharinghub() as running:
        yield running
