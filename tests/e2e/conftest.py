"""One whole stack for all tests of a process; each test makes its own users and projects in it."""

from collections.abc import Iterator

import pytest

from tests.servers.stack import Stack, stack
from tests.tenants import Tenants


@pytest.fixture(scope="session")
def whole_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A GitLab, an edge, an Envoy and an MLflow."""
    with stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def tenants(whole_stack: Stack) -> Tenants:
    """The users and projects of that stack."""
    return Tenants(whole_stack)
