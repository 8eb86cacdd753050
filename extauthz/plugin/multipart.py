"""Multipart upload: clients send the parts of a large file to the S3 server, past MLflow.

MLflow begins an upload and signs the address of each part, good for an hour, for this part of this
upload of this file. What is sent there is not in a file before MLflow completes the upload, which
takes a grant of its own. So an address writes nothing by itself and reads nothing, unlike the other
presigned ones, which stay refused. It holds for S3 only: in Azure such an address reads the file.
"""

import posixpath
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

from flask import Flask, Response
from google.protobuf.json_format import ParseError
from mlflow.exceptions import _UnsupportedMultipartUploadException
from mlflow.protos.mlflow_artifacts_pb2 import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CreateMultipartUpload,
)
from mlflow.server.handlers import _get_artifact_repo_mlflow_artifacts
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository
from mlflow.utils.proto_json_utils import parse_dict

from extauthz.plugin import artifacts
from extauthz.plugin.errors import refuse
from extauthz.plugin.refusals import Malformed, Missing, Refusal

# S3 takes ten times as many, whose addresses take seconds to sign.
MOST_PARTS: Final = 1000
_MESSAGES: Final = MappingProxyType(
    {
        "create": CreateMultipartUpload,
        "complete": CompleteMultipartUpload,
        "abort": AbortMultipartUpload,
    }
)
_STEP: Final = re.compile(r"/mpu/(\w+)/")
# No slash, and no dots only: some servers make it part of a path.
_UPLOAD_ID: Final = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~=+-]{1,1024}\Z")
_NO_SUCH_UPLOAD: Final = "NoSuchUpload"
_WRONG_PARTS: Final = frozenset({"EntityTooSmall", "InvalidPart", "InvalidPartOrder"})


class Unsupported(Refusal):
    """The file can be uploaded, in one piece: MLflow's clients read so from the first words."""

    status = HTTPStatus.NOT_IMPLEMENTED
    error_code = "NOT_IMPLEMENTED"

    def __init__(self, why: str) -> None:
        super().__init__(f"{_UnsupportedMultipartUploadException.MESSAGE}: {why}")


def check(endpoint: str, folder: str, fields: Mapping[str, Any], workspace: str) -> None:
    """Check a request about the upload of a file, which its body names; raises Refusal."""
    artifacts.check_stored(folder, workspace)
    message = _message(endpoint, fields)
    # MLflow does the same: clients send the path that the file has with them.
    name = posixpath.basename(message.path)
    if "\\" in name:
        raise Unsupported("its name would be a whole path of Windows")
    artifacts.check_file(f"{folder}/{name}", workspace)
    if isinstance(message, CreateMultipartUpload):
        _check_number(message.num_parts)
    elif not _UPLOAD_ID.match(message.upload_id):
        raise Malformed("`upload_id` is not one that MLflow answers")
    if isinstance(message, CompleteMultipartUpload):
        _check_parts(message.parts)
    _check_store()


def answer_refusals(app: Flask) -> None:
    """Answer what an S3 server refuses about an upload as a refusal, not as a failure.

    MLflow's clients try a failure again, for minutes.
    """
    # An MLflow without S3 may not have it.
    with suppress(ImportError):
        from botocore.exceptions import ClientError  # noqa: PLC0415

        app.register_error_handler(ClientError, _answer)


def _message(endpoint: str, fields: Mapping[str, Any]) -> Any:
    """Return what MLflow's handler makes of the body, so that nothing is read in two ways."""
    step = _STEP.search(endpoint)
    message = _MESSAGES[step[1] if step else ""]()
    try:
        parse_dict(fields, message)
    except ParseError as error:
        raise Malformed("The fields of this request are not of their types") from error
    return message


def _check_number(parts: int) -> None:
    if parts < 1:
        raise Malformed("`num_parts` is a number from 1")
    if parts > MOST_PARTS:
        raise Unsupported(f"it has more than {MOST_PARTS} parts")


def _check_parts(parts: Any) -> None:
    if not 1 <= len(parts) <= MOST_PARTS or not all(
        1 <= part.part_number <= MOST_PARTS and part.etag for part in parts
    ):
        raise Malformed(f"`parts` are up to {MOST_PARTS}, each with its number and `etag`")


def _check_store() -> None:
    store = _get_artifact_repo_mlflow_artifacts()
    if not isinstance(store, S3ArtifactRepository):
        raise Unsupported("it is not S3")
    # Made for a store on S3, whose libraries others need not have.
    from extauthz.plugin.confinement import SERVER  # noqa: PLC0415

    if not SERVER.holds(store):
        raise Unsupported("its S3 server has not stood the test")


def _answer(error: Any) -> Response:
    code = error.response.get("Error", {}).get("Code", "")
    refusal: Refusal
    if code == _NO_SUCH_UPLOAD:
        refusal = Missing("This file has no such upload: it has ended, or never begun")
    elif code in _WRONG_PARTS:
        refusal = Malformed(f"The S3 server does not take these parts: {code}")
    else:
        raise error
    return refuse(refusal.body(), refusal.status, refusal.headers())
