"""The parts of a site, with the command of each."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from extauthz.edge.envoy_config import build
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.plugin.command import command, environment
from tests.chaos.part import Part
from tests.servers.envoy import DEFAULT
from tests.servers.mlflow import INSTANCE
from tests.servers.ports import free_port
from tests.servers.postgres import BINARIES, Postgres
from tests.servers.processes import answers, extauthz


@dataclass(frozen=True, slots=True)
class Replica:
    """One of several edges, and where it listens."""

    part: Part
    check: str
    pages: str

    @classmethod
    def of(cls, folder: Path, settings: Mapping[str, str]) -> "Replica":
        folder.mkdir()
        check, pages = f"unix:{folder}/check.sock", f"unix:{folder}/pages.sock"
        admin = free_port()
        argv = extauthz(
            *("serve", "--listen", check, "--pages-listen", pages),
            *("--admin-listen", f"127.0.0.1:{admin}", "--drain-seconds", "3"),
        )
        return cls(Part(argv, folder, partial(answers, admin, "/readyz"), settings), check, pages)


@dataclass(frozen=True, slots=True)
class Front:
    """An Envoy, and what it knows of the edges behind it."""

    part: Part
    port: int
    admin: int

    @classmethod
    def of(cls, folder: Path, port: int, replicas: tuple[Replica, ...], mlflow: int) -> "Front":
        folder.mkdir()
        admin = free_port()
        options = EnvoyOptions(
            listen=f"127.0.0.1:{port}",
            check=tuple(each.check for each in replicas),
            pages=replicas[0].pages,
            mlflow=f"127.0.0.1:{mlflow}",
            mlflow_host=f"127.0.0.1:{mlflow}",
            admin=f"127.0.0.1:{admin}",
        )
        config = folder / "envoy.yaml"
        config.write_text(build(options))
        argv = [str(DEFAULT), "-c", str(config), "--disable-hot-restart"]
        argv += ["--concurrency", "1", "-l", "error"]
        return cls(Part(argv, folder, partial(answers, admin, "/ready")), port, admin)

    def healthy(self) -> int:
        """Return how many edges Envoy would ask."""
        try:
            with closing(HTTPConnection("127.0.0.1", self.admin, timeout=5)) as connection:
                connection.request("GET", "/clusters?format=json")
                clusters = json.load(connection.getresponse())["cluster_statuses"]
        except (OSError, HTTPException):
            return 0
        (edge,) = (each for each in clusters if each["name"] == "edge")
        healths = [each.get("health_status", {}) for each in edge["host_statuses"]]
        return sum(not each.get("failed_active_health_check") for each in healths)


def redis(folder: Path, port: int) -> Part:
    """A Redis whose sessions outlive it: it writes down each before it answers."""
    folder.mkdir()
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    argv += ["--save", "", "--appendonly", "yes", "--appendfsync", "no"]
    return Part(argv, folder, lambda: _pong(port))


def _pong(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisError:
        return False


def database(folder: Path) -> tuple[Part, Postgres]:
    """A PostgreSQL whose data outlives it. It refuses to run as root, so it runs as its user."""
    user = "postgres" if os.geteuid() == 0 else None
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, user)
    data, server = folder / "data", Postgres(free_port())
    made = [
        str(BINARIES / "initdb"),
        "-D",
        str(data),
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run(made, user=user, cwd=folder, check=True, capture_output=True)
    # The machine does not lose power in these tests.
    options = ("fsync=off", f"unix_socket_directories={folder}")
    argv = [str(BINARIES / "postgres"), "-D", str(data), "-p", str(server.port)]
    argv += [part for option in options for part in ("-c", option)]
    # It ends without waiting for its clients.
    return Part(argv, folder, server.answers, user=user, ended_by=signal.SIGINT), server


def tracking(folder: Path, port: int, store: str, key: SecretStr) -> Part:
    """An MLflow that keeps its rows in the store."""
    folder.mkdir()
    settings = environment(
        grant_key=key,
        instance=INSTANCE,
        backend_store_uri=store,
        artifacts_destination=str(folder / "artifacts"),
    )
    argv = command(host="127.0.0.1", port=port)
    assert argv[0] == sys.executable
    return Part(argv, folder, partial(answers, port, "/health"), settings)
