"""Confinement: whether the addresses of the parts of an upload can be used for anything else.

Whoever holds one writes in the name of MLflow, whose S3 account reads and writes the files of all
projects. What keeps the holder to one part of one file is the S3 server. Not all do it: MinIO and
what came of it obeyed a header that nobody had signed, and copied any object into the part (as in
GHSA-xm99-m3gq-83g8). So the server at hand is put to the test before it is trusted.
"""

import posixpath
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from secrets import token_hex
from threading import Lock
from typing import Any, Final
from urllib.parse import quote

import requests
import structlog
from botocore.exceptions import BotoCoreError, ClientError
from mlflow.entities.multipart_upload import MultipartUploadPart
from mlflow.environment_variables import MLFLOW_S3_IGNORE_TLS

log: Final = structlog.get_logger("extauthz.plugin")

_KEPT, _OTHER = "kept", "other"
_REFUSALS: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
_TIMEOUT: Final = 10
# Seconds: servers are updated, and so become better or worse.
_TRUSTED: Final = 3600
_DISTRUSTED: Final = 300


class Confinement:
    """What was found out about the server of an S3 store; asked again from time to time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._holds = False
        self._until = clock()

    def holds(self, store: Any) -> bool:
        """Tell whether clients may upload parts to the server of a store.

        Fails closed: it does not while that cannot be found out.
        """
        if not self._lock.acquire(timeout=_TIMEOUT):
            return False
        try:
            if self._clock() >= self._until:
                self._holds = _tried(store)
                self._until = self._clock() + (_TRUSTED if self._holds else _DISTRUSTED)
            return self._holds
        finally:
            self._lock.release()


SERVER: Final = Confinement()
"""Of the one that MLflow's artifacts are on."""


def _tried(store: Any) -> bool:
    try:
        confined = is_confined(store)
    except (BotoCoreError, ClientError, requests.RequestException) as error:
        log.warning("multipart.untested", why=f"files are uploaded in one piece: {error}")
        return False
    if not confined:
        log.error(
            "multipart.unconfined",
            why="files are uploaded in one piece, because this S3 server takes more from a "
            "presigned address than was signed: update it",
        )
    return confined


def is_confined(store: Any) -> bool:
    """Tell whether an upload stays what was begun, and its parts what is sent.

    Leaves nothing behind. Raises what the store and its server do when one of them fails, or when
    an upload has ended that was not to.
    """
    # A workspace of no project, so that nobody is shown it.
    folder = f"workspaces/extauthz-{token_hex(16)}"
    try:
        _upload(store, folder)
        kept = [file.path for file in store.list_artifacts(folder)]
        return kept == [f"{folder}/{_KEPT}"] and not _copies(store, folder)
    finally:
        with suppress(ClientError):
            store.delete_artifacts(folder)


def _upload(store: Any, folder: str) -> None:
    """Upload a file, whose upload is asked before to become another file, and to be dropped so."""
    upload = store.create_multipart_upload(_KEPT, 1, folder)
    sent = _put(upload.credentials[0].url, data=b"kept")
    sent.raise_for_status()
    parts = [MultipartUploadPart(1, sent.headers["ETag"])]
    with suppress(ClientError):
        store.complete_multipart_upload(_OTHER, upload.upload_id, parts, folder)
    with suppress(ClientError):
        store.abort_multipart_upload(_OTHER, upload.upload_id, folder)
    store.complete_multipart_upload(_KEPT, upload.upload_id, parts, folder)


def _copies(store: Any, folder: str) -> bool:
    """Tell whether the server copies that file into a part because of a header without signature.

    It must do so for the same header with one: otherwise its refusal would prove nothing.
    """
    bucket, root = store.parse_s3_compliant_uri(store.artifact_uri)
    kept, other = (posixpath.join(root, folder, name) for name in (_KEPT, _OTHER))
    upload = store.create_multipart_upload(_OTHER, 2, folder)
    try:
        store._get_s3_client().upload_part_copy(  # noqa: SLF001 - with the account that signs
            Bucket=bucket,
            Key=other,
            UploadId=upload.upload_id,
            PartNumber=1,
            CopySource={"Bucket": bucket, "Key": kept},
        )
        source = {"x-amz-copy-source": quote(f"{bucket}/{kept}")}
        return _put(upload.credentials[1].url, headers=source).status_code not in _REFUSALS
    finally:
        store.abort_multipart_upload(_OTHER, upload.upload_id, folder)


def _put(url: str, **content: Any) -> requests.Response:
    """Send a part as MLflow's client does."""
    verify = not MLFLOW_S3_IGNORE_TLS.get()
    return requests.put(url, verify=verify, timeout=_TIMEOUT, **content)
