"""Folders that containers may be given."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.image.container import USER

# `make image-check` runs these, once it has built the images.
collect_ignore_glob = [] if "IMAGE_CHECK" in os.environ else ["test_*"]


@pytest.fixture
def data() -> Iterator[Path]:
    """An empty folder of the images' user."""
    # Not below tmp_path, which nobody but us may enter.
    with TemporaryDirectory(prefix="data-") as folder:
        os.chown(folder, USER, USER)
        yield Path(folder)
