"""A folder as the store of the artifacts."""

import errno
import filecmp
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from mlflow.utils.workspace_utils import WORKSPACES_DIR_NAME

from extauthz.migrate.errors import Failed

# Beside the workspaces, in none of them. What a killed run leaves there is overwritten by the next.
_UNFINISHED: Final = f"{WORKSPACES_DIR_NAME}/.extauthz-migrate"
# Where a second name for a file is not to be had: another file system, or one that has none.
_NO_LINKS: Final = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
)
_SAMPLE: Final = 16 * 1024 * 1024


class Folder:
    """Copies by giving files a second name where that can be: at once, and without more space."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self._root = root

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders directly in one."""
        folder = self._root / path
        if not folder.is_dir():
            return []
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))

    def sizes(self, path: str) -> dict[str, int]:
        """Return all files below a folder; raises Failed for links, which may lead anywhere."""
        folder = self._root / path
        if folder.is_symlink():
            raise Failed(f"{folder} is a symbolic link: put the folder itself in its place")
        return dict(_walk(folder)) if folder.is_dir() else {}

    def copy(self, source: str, target: str) -> None:
        """Copy a file."""
        try:
            self._make_folder(Path(target).parent, like=Path(source).parent)
            self._link_or_copy(self._root / source, self._root / target)
        except OSError as error:
            raise Failed(f"{source} could not be copied to {target}: {error.strerror}") from None

    def same(self, one: str, other: str) -> bool:
        """Tell whether two files have the same content."""
        first, second = self._root / one, self._root / other
        return first.samefile(second) or filecmp.cmp(first, second, shallow=False)

    def digest(self, path: str) -> str:
        """Read the beginning of a file, and return its digest."""
        with (self._root / path).open("rb") as file:
            return sha256(file.read(_SAMPLE)).hexdigest()

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files."""
        for path in paths:
            (self._root / path).unlink(missing_ok=True)

    def prune(self, folder: str) -> None:
        """Remove a folder, and those in it and above it, as far as they are empty."""
        below = [path for path, _ in _folders(self._root / folder)]
        above = [self._root / path for path in Path(folder).parents if path != Path()]
        for path in (*reversed(below), *above):
            # It is not empty, or gone already.
            with suppress(OSError):
                path.rmdir()

    def _link_or_copy(self, source: Path, target: Path) -> None:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
        unfinished = self._root / _UNFINISHED
        shutil.copy2(source, unfinished)
        _give(unfinished, source)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.rename(target)

    def _make_folder(self, folder: Path, *, like: Path) -> None:
        """Make a folder that belongs to whom the other does: MLflow must go on writing there.

        Above the experiments, where the two trees differ, it is as the root.
        """
        missing = list[tuple[Path, Path]]()
        while not (self._root / folder).is_dir():
            model = like if folder.name == like.name else Path()
            missing.append((self._root / folder, self._root / model))
            folder, like = folder.parent, model.parent
        for made, model in reversed(missing):
            made.mkdir()
            shutil.copymode(model, made)
            _give(made, model)


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    for path, name in _folders(folder):
        for entry in _entries(path):
            if entry.is_file(follow_symlinks=False):
                yield f"{name}{entry.name}", entry.stat(follow_symlinks=False).st_size
            elif not entry.is_dir(follow_symlinks=False):
                raise Failed(f"{entry.path} is neither a file nor a folder: take it away")


def _folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield a folder and all below it, those above first, however deep clients have nested them."""
    todo = [(folder, "")]
    while todo:
        path, name = todo.pop()
        yield path, name
        todo += [
            (path / entry.name, f"{name}{entry.name}/")
            for entry in _entries(path)
            if entry.is_dir(follow_symlinks=False)
        ]


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    # It may be gone already.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(entries, key=lambda each: each.name)
    return []


def _give(path: Path, like: Path) -> None:
    """Make somebody the owner of what root has made for him; nobody else can."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
