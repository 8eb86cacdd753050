"""One site for all events of a process: each leaves it whole, or has found a defect."""

from collections.abc import Iterator

import pytest

from tests.chaos.site import Everybody, Site, site


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A GitLab, a PostgreSQL, a Redis, an MLflow, two edges and an Envoy."""
    with site(tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.fixture
def everybody(whole_site: Site) -> Everybody:
    """Projects and people of this test's own on that site."""
    return Everybody.of(whole_site)
