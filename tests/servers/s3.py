"""A real S3 server, SeaweedFS, as a process."""

import json
import signal
import socket
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.ports import free_port
from tests.servers.processes import running, until

_WEED = Path(sysconfig.get_path("scripts")) / "weed"
# Below 32,768 with what is opened above it.
_HIGHEST = 20_000
_KEY, SECRET = "test-key", "test-secret"


@dataclass(frozen=True, slots=True)
class S3:
    """Where S3 listens."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """What MLflow needs to reach it."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def create(self, bucket: str) -> str:
        """Make a bucket; returns its address."""
        self.client().create_bucket(Bucket=bucket)
        return f"s3://{bucket}"

    def contents(self, bucket: str) -> dict[str, str]:
        """Return a digest of every object."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}

    def answers(self) -> bool:
        """Tell whether it can keep something."""
        try:
            self.client().create_bucket(Bucket="probe")
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self) -> Any:
        """Return a client of the account that MLflow has."""
        return _client(self.environment["MLFLOW_S3_ENDPOINT_URL"])


@cache
def _client(url: str) -> Any:
    """Return a client, the same one again: to make one takes longer than to ask."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=_KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


@contextmanager
def s3(folder: Path) -> Iterator[S3]:
    """Run an S3 server that keeps its objects in a folder until the block ends."""
    server, log = S3(_port()), folder / "s3.log"
    config, data = folder / "s3.json", folder / "objects"
    data.mkdir()
    credentials = [{"accessKey": _KEY, "secretKey": SECRET}]
    identity = {"name": "test", "credentials": credentials, "actions": ["Admin"]}
    config.write_text(json.dumps({"identities": [identity]}))
    ports = {name: _port() for name in ("master", "volume", "filer")}
    argv = [str(_WEED), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}"]
    argv += [f"-{name}.port={port}" for name, port in ports.items()]
    argv += ["-filer", "-s3", f"-s3.port={server.port}", f"-s3.config={config}"]
    argv += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    argv += ["-master.volumeSizeLimitMB=64", "-volume.max=20", "-volume.preStopSeconds=0"]
    # On SIGTERM it takes its leave of nobody for 15 s, and what it keeps is thrown away.
    with running(argv, log=log, cwd=folder, stop=signal.SIGKILL) as process:
        until(server.answers, process, log=log)
        yield server


def _port() -> int:
    """Return a port for a server that also opens one 10,000 above it."""
    while True:
        port = free_port()
        if port < _HIGHEST and _is_free(port + 10_000):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
