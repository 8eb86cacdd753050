"""S3 as the store of the artifacts, spoken to as MLflow is set up to."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Final

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from mlflow.environment_variables import MLFLOW_S3_UPLOAD_EXTRA_ARGS
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from extauthz.migrate.errors import Failed
from extauthz.migrate.rows import few

_SAMPLE: Final = 16 * 1024 * 1024
_READ_AT_ONCE: Final = 1024 * 1024


class S3:
    """Has the server copy: nothing passes through here but what is compared."""

    at_once = 16

    def __init__(self, destination: str) -> None:
        repository = S3ArtifactRepository(destination)
        self._bucket, prefix = repository.parse_s3_compliant_uri(destination)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = repository._get_s3_client()  # noqa: SLF001 - with all of its settings

    def folders(self, path: str) -> list[str]:
        """Return the names of the folders directly in one."""
        prefix = self._key(path)
        with _told(path):
            return sorted(
                found["Prefix"].removeprefix(prefix).rstrip("/")
                for page in self._pages(prefix, Delimiter="/")
                for found in page.get("CommonPrefixes", ())
            )

    def sizes(self, path: str) -> dict[str, int]:
        """Return all files below a folder; what consoles make to show an empty one is none."""
        prefix = self._key(path)
        with _told(path):
            return {
                found["Key"].removeprefix(prefix): found["Size"]
                for page in self._pages(prefix)
                for found in page.get("Contents", ())
                if not found["Key"].endswith("/")
            }

    def copy(self, source: str, target: str) -> None:
        """Copy a file; one of more than 5 GiB in parts, which S3 puts together at the end."""
        more = json.loads(MLFLOW_S3_UPLOAD_EXTRA_ARGS.get() or "{}")
        with _told(source):
            self._client.copy(
                {"Bucket": self._bucket, "Key": self._key(source)},
                self._bucket,
                self._key(target),
                ExtraArgs=more or None,
            )

    def same(self, one: str, other: str) -> bool:
        """Tell whether two files have the same content, by their tags if those say so."""
        with _told(one):
            tags = {
                self._client.head_object(Bucket=self._bucket, Key=self._key(path))["ETag"]
                for path in (one, other)
            }
            # A copy in parts has another tag than what it is a copy of.
            return len(tags) == 1 or self._read(one) == self._read(other)

    def digest(self, path: str) -> str:
        """Read the beginning of a file, and return its digest."""
        with _told(path):
            return self._read(path, most=_SAMPLE)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files."""
        for some in few(list(paths)):
            keys = [{"Key": self._key(path)} for path in some]
            with _told(some[0]):
                done = self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                )
            for error in done.get("Errors", ()):
                raise Failed(f"{error['Key']} could not be removed from S3: {error['Code']}")

    def prune(self, folder: str) -> None:
        """Do nothing: S3 has no folders."""

    def _key(self, path: str) -> str:
        return f"{self._prefix}{path}"

    def _pages(self, prefix: str, **more: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self._bucket, Prefix=prefix, **more)

    def _read(self, path: str, most: int | None = None) -> str:
        body = self._client.get_object(Bucket=self._bucket, Key=self._key(path))["Body"]
        digest, left = sha256(), most
        try:
            while chunk := body.read(_READ_AT_ONCE if left is None else min(left, _READ_AT_ONCE)):
                digest.update(chunk)
                left = left if left is None else left - len(chunk)
        finally:
            body.close()
        return digest.hexdigest()


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell in one line what went wrong; the clients' own messages name the request only."""
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        raise Failed(f"S3 could not be asked about {path or 'the artifacts'}: {error}") from error
