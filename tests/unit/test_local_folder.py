"""The data folder: a line that helps where it is not ours, as a container's volume may be."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from extauthz.edge.settings import SettingsError
from extauthz.local.folder import own_folder

NOBODY = 65534


@pytest.fixture(autouse=True)
def not_root() -> Iterator[None]:
    """Root may write anywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path, which root made.
    with TemporaryDirectory() as name:
        yield Path(name)


def refusal(folder: Path) -> str:
    with pytest.raises(SettingsError) as error:
        own_folder(folder)
    return str(error.value)


def test_it_is_made_and_ours_alone(folder: Path) -> None:
    own_folder(folder / "a/b")
    own_folder(folder / "a/b")
    assert (folder / "a/b").stat().st_mode & 0o777 == 0o700


def test_one_of_root_names_both_users_and_the_remedy() -> None:
    we = os.geteuid()
    assert refusal(Path("/usr")) == (
        f"/usr belongs to user 0, and we are user {we}: `chown -R {we}` the data (on the host, if "
        "this is a container), or run as its owner (`docker run --user`)"
    )


def test_so_does_a_file_of_root_within(folder: Path) -> None:
    (folder / "secret-key").symlink_to("/etc/shadow")
    assert refusal(folder).startswith(f"{folder}/secret-key belongs to user 0, and we are user ")


def test_one_that_is_read_only_says_so(folder: Path) -> None:
    folder.chmod(0o500)
    assert refusal(folder) == (
        f"{folder} is not writable: mount a volume there, or give --data another folder"
    )


@pytest.mark.parametrize("path", ["/usr/data", "/etc/passwd"])
def test_one_that_cannot_be_is_a_line_too(path: str) -> None:
    assert refusal(Path(path)).startswith(f"{path} cannot be used: ")
