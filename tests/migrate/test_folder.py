"""A folder of artifacts, as a migration handles it."""

import errno
import os
from pathlib import Path

import pytest

from extauthz.migrate.errors import Failed
from extauthz.migrate.folder import Folder

_OWNER = 12_345


@pytest.fixture
def root(tmp_path: Path) -> Path:
    file = tmp_path / "1" / "run" / "artifacts" / "a.txt"
    file.parent.mkdir(parents=True)
    file.write_text("secret")
    return tmp_path


def _move(root: Path) -> Path:
    folder = Folder(root)
    folder.copy("1/run/artifacts/a.txt", "workspaces/p7/1/run/artifacts/a.txt")
    folder.remove(["1/run/artifacts/a.txt"])
    folder.prune("1")
    return root / "workspaces/p7/1/run/artifacts/a.txt"


def test_a_copy_takes_no_space(root: Path) -> None:
    kept = (root / "1/run/artifacts/a.txt").stat().st_ino
    assert _move(root).stat().st_ino == kept
    assert sorted(path.name for path in root.iterdir()) == ["workspaces"]


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.ENOTSUP])
def test_it_takes_some_where_files_have_one_name_only(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As on network shares, and across file systems."""

    def no_link(*_: object, **__: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "link", no_link)
    file = _move(root)

    assert file.read_text() == "secret"
    assert [path.name for path in (root / "workspaces").iterdir()] == ["p7"]


def test_a_full_disk_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(Failed, match="No space left"):
        Folder(root).copy("1/run/artifacts/a.txt", "workspaces/p7/1/a.txt")


def test_folders_belong_to_whom_they_belonged(root: Path) -> None:
    """Root migrates, and MLflow must still be able to write there."""
    owner = _OWNER if os.geteuid() == 0 else os.geteuid()
    for path in (root / "1", *(root / "1").rglob("*")):
        os.chown(path, owner, -1)
    (root / "1" / "run").chmod(0o2770)

    file = _move(root)

    for path in (file, *list(file.parents)[:3]):
        assert path.stat().st_uid == owner
    assert file.parents[1].stat().st_mode & 0o7777 == 0o2770
    assert (root / "workspaces" / "p7").stat().st_uid == root.stat().st_uid


@pytest.mark.parametrize("path", ["1/run/artifacts/b.txt", "1/run/more", "1"])
def test_links_are_refused(root: Path, path: str) -> None:
    """One could lead out of the project, or to what must not be removed."""
    if path == "1":
        (root / "1").rename(root / "one")
    (root / path).symlink_to(root / "one" if path == "1" else "/etc")
    with pytest.raises(Failed, match=r"take it away|symbolic link"):
        Folder(root).sizes("1/")


def test_what_is_no_file_is_refused(root: Path) -> None:
    os.mkfifo(root / "1" / "pipe")
    with pytest.raises(Failed, match="neither a file nor a folder"):
        Folder(root).sizes("1/")


def test_a_folder_that_is_not_there_is_empty(root: Path) -> None:
    assert Folder(root).sizes("2/") == {}
    assert Folder(root).folders("workspaces/") == []
    assert Folder(root / "nowhere").folders("") == []


def test_only_what_is_empty_goes_with_the_files(root: Path) -> None:
    (root / "1" / "kept.txt").write_text("kept")
    _move(root)
    assert [path.name for path in (root / "1").iterdir()] == ["kept.txt"]


def test_the_same_content_is_told_from_other_of_the_same_length(root: Path) -> None:
    for name, content in (("b", "secret"), ("c", "public")):
        (root / name).write_text(content)
    folder = Folder(root)
    assert folder.same("1/run/artifacts/a.txt", "b")
    assert not folder.same("1/run/artifacts/a.txt", "c")
    assert folder.digest("b") != folder.digest("c")
