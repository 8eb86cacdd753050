"""One MLflow for all tests of the plugin, with projects that use the same names."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.plugin.world import World, build
from tests.servers.mlflow import MLflow, mlflow


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(scope="session")
def next_number() -> Callable[[], int]:
    """Return ids of projects, each once."""
    numbers = count(101)
    return lambda: next(numbers)


@pytest.fixture
def number(next_number: Callable[[], int]) -> int:
    """Return the id of a project that holds nothing yet."""
    return next_number()


@pytest.fixture(scope="session")
def ours(server: MLflow, next_number: Callable[[], int]) -> World:
    """Return a project that no test changes."""
    return build(server, next_number())


@pytest.fixture(scope="session")
def theirs(server: MLflow, next_number: Callable[[], int]) -> World:
    """Return another project that no test changes."""
    return build(server, next_number())


@pytest.fixture
def fresh(server: MLflow, number: int) -> World:
    """Return a project of this test's own."""
    return build(server, number)
