"""One MLflow for all tests of the plugin, with projects that use the same names.

It keeps its rows in SQLite and its files in a folder. What must hold whatever it keeps them in is
tested once more with PostgreSQL and S3.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache, partial
from itertools import count
from pathlib import Path

import pytest

from tests.plugin.endpoint import Endpoint
from tests.plugin.world import World, build
from tests.servers.mlflow import MLflow, mlflow, mlflow_on_postgres_and_s3

EVERY_STORE = frozenset(
    {
        *("test_isolation", "test_narrow", "test_references", "test_wire"),
        *("test_mixed_ids", "test_paging", "test_traces", "test_traces_everywhere"),
        *("test_assessments", "test_evaluation_datasets", "test_otlp"),
    }
)
measured = partial(mlflow, measured=True)
Kind = Callable[[Path], AbstractContextManager[MLflow]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of these modules with both kinds of stores."""
    if metafunc.module.__name__.rpartition(".")[2] in EVERY_STORE and (
        "server" in metafunc.fixturenames
    ):
        kinds = {"file": measured, "net": mlflow_on_postgres_and_s3}
        metafunc.parametrize("server", kinds.values(), ids=kinds, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Ask about each endpoint in PostgreSQL and S3 at one of its addresses: they share the rest."""
    left_out = [item for item in items if _is_another_address_in_the_net(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_another_address_in_the_net(item: pytest.Item) -> bool:
    match getattr(getattr(item, "callspec", None), "params", {}):
        case {"server": kind, "endpoint": Endpoint(keys=keys), "key": key}:
            return kind is mlflow_on_postgres_and_s3 and key != keys[0]
        case _:
            return False


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], MLflow]]:
    """Return what starts one of each kind, once.

    A fixture with parameters would be taken down each time that another one is asked for.
    """
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(kind(tmp_path_factory.mktemp("mlflow"))))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, running: Callable[[Kind], MLflow]) -> MLflow:
    return running(getattr(request, "param", measured))


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
