"""Files: the store of the artifacts, a folder or S3, as a tree of paths below its root."""

from collections.abc import Iterable
from typing import Protocol
from urllib.parse import urlsplit

from extauthz.edge.settings import SettingsError
from extauthz.migrate.locations import folder_at


class Files(Protocol):
    """Where artifacts are. Paths have slashes in between, and are below the root.

    `at_once` is how many copies it should make at the same time. Raises Failed where it cannot do
    what is asked.
    """

    at_once: int

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders directly in one, which ends with a slash or is empty."""

    def sizes(self, path: str) -> dict[str, int]:
        """Return all files below a folder, which ends with a slash: paths below it, and bytes."""

    def copy(self, source: str, target: str) -> None:
        """Copy a file to where there is none: at once it is there as a whole."""

    def same(self, one: str, other: str) -> bool:
        """Tell whether two files have the same content."""

    def digest(self, path: str) -> str:
        """Read the beginning of a file, and return its digest."""

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files."""

    def prune(self, folder: str) -> None:
        """Remove a folder, and those in it and above it, as far as they are empty."""


def open_files(destination: str) -> Files:
    """Open the store that MLFLOW_ARTIFACTS_DESTINATION names; raises SettingsError."""
    scheme = urlsplit(destination).scheme
    if scheme == "s3":
        from extauthz.migrate.s3 import S3  # noqa: PLC0415 - needs the stores extra

        return S3(destination)
    if scheme not in ("", "file"):
        raise SettingsError(
            f"MLFLOW_ARTIFACTS_DESTINATION must be a folder or s3://bucket/path, not {scheme}://"
        )
    from extauthz.migrate.folder import Folder  # noqa: PLC0415 - as the other

    return Folder(folder_at(destination))
