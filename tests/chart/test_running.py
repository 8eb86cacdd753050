"""What the containers of a release are told to run does run: on this machine, without a cluster."""

import hmac
import os
import secrets
import shutil
import subprocess
import sysconfig
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.chart.chart import Release, render
from tests.gitlab import GitLab
from tests.servers.envoy import DEFAULT
from tests.servers.ports import free_port
from tests.servers.postgres import postgres
from tests.servers.processes import answers, running, until

NAME: Final = "rel-mlflow-extauthz"
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True, slots=True)
class Machine:
    """A release whose pods are processes here: names and ports of the cluster are replaced."""

    release: Release
    folder: Path
    ports: dict[int, int]
    keys: dict[str, str]

    def here(self, text: str) -> str:
        """Replace what only a cluster has."""
        for port, local in self.ports.items():
            text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{local}")
        text = text.replace(f"http://{NAME}-mlflow", f"http://127.0.0.1:{self.ports[5001]}")
        return text.replace("/home/mlflow/data", str(self.folder))

    @contextmanager
    def run(self, part: str, *, port: int, path: str) -> Iterator[None]:
        """Run the container of a part until the block ends."""
        container = self.release.container(part)
        arguments = [self.here(each) for each in container["args"]]
        if "--port" in arguments:
            arguments[arguments.index("--port") + 1] = str(self.ports[5001])
        (name,) = container["command"]
        env = {
            name: self.keys[value.rpartition("/")[2].rstrip(">")] if value[0] == "<" else value
            for name, value in self.release.environment(part).items()
            if not value.endswith("-previous>")
        }
        given = {name: self.here(value) for name, value in env.items()}
        log = self.folder / f"{part}.log"
        argv = [str(SCRIPTS / name), *arguments]
        with running(argv, log=log, env=given, cwd=self.folder) as process:
            until(lambda: answers(self.ports[port], path), process, log=log)
            yield

    @contextmanager
    def envoy(self) -> Iterator[None]:
        """Run Envoy with the release's configuration until the block ends."""
        config = self.release.envoy_config()
        statics = config["static_resources"]
        statics["listeners"][0]["address"]["socket_address"]["port_value"] = self.ports[5000]
        for cluster in statics["clusters"]:
            (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
            socket = endpoint["endpoint"]["address"]["socket_address"]
            port = {80: 5001}.get(socket["port_value"], socket["port_value"])
            socket |= {"address": "127.0.0.1", "port_value": self.ports[port]}
        config["admin"]["address"]["socket_address"]["port_value"] = self.ports[9901]
        path, log = self.folder / "envoy.yaml", self.folder / "envoy.log"
        path.write_text(yaml.safe_dump(config))
        arguments = [*self.release.container("envoy")["args"]]
        arguments[arguments.index("-c") + 1] = str(path)
        with running([str(DEFAULT), *arguments], log=log, cwd=self.folder) as process:
            until(lambda: answers(self.ports[9901], "/ready"), process, log=log)
            yield


def test_the_containers_run_and_the_helm_test_is_content(tmp_path: Path) -> None:
    ports = {port: free_port() for port in (5000, 5001, 5002, 9000, 9001, 9002, 9901)}
    public_url = f"http://127.0.0.1:{ports[5000]}"
    with GitLab.start() as gitlab:
        client, secret = gitlab.create_application([f"{public_url}/auth/authorize"])
        random = {key: secrets.token_hex(32) for key in ("secret-key", "grant-key")}
        keys = {**random, "client-id": client, "client-secret": secret}
        release = render(
            {"gitlabUrl": gitlab.url, "publicUrl": public_url, "allowInsecureHttp": True}
        )
        here = Machine(release, tmp_path, ports, keys)
        with (
            here.run("mlflow", port=5001, path="/health"),
            here.run("edge", port=9002, path="/readyz"),
            here.envoy(),
        ):
            (test,) = release.one("Pod")["spec"]["containers"]
            command = [str(SCRIPTS / test["command"][0]), *test["command"][1:], *test["args"]]
            done = subprocess.run(
                command,
                env={"URL": public_url},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.count("yes") == 4
            assert answers(ports[5000], "/auth/login") is False  # it leads to GitLab
            assert answers(ports[5002], "/metrics")


def test_postgresql_makes_mlflows_user_whatever_his_password(tmp_path: Path) -> None:
    values = {"gitlabUrl": "https://a.example.com", "publicUrl": "https://b.example.com"}
    release = render({**values, "postgresql": {"enabled": True}})
    script = tmp_path / "mlflow.sql"
    script.write_text(release.one("ConfigMap", "-postgresql")["data"]["mlflow.sql"])
    password = """it's "so" $HOME `id` \\ @:/?%"""
    with postgres(tmp_path / "postgres.log") as server:
        psql = [str(shutil.which("psql")), "--no-psqlrc", "-v", "ON_ERROR_STOP=1"]
        ours = {"PATH": os.environ["PATH"], "MLFLOW_PASSWORD": password}
        made = [*psql, server.url(), "--file", str(script)]
        subprocess.run(made, env=ours, check=True, capture_output=True, timeout=60)
        command = [*psql, "--tuples-only", "--no-align", server.url("mlflow")]
        who = "select rolname, rolpassword from pg_database d join pg_authid r on r.oid = datdba"
        ask = [*command, "--command", f"{who} where datname = current_database()"]
        owner = subprocess.run(ask, check=True, capture_output=True, text=True, timeout=60)
        name, _, verifier = owner.stdout.strip().partition("|")
        assert name == "mlflow"
        assert opens(verifier, password)


def opens(verifier: str, password: str) -> bool:
    """Tell whether PostgreSQL would take a password (RFC 5802)."""
    _, parameters, keys = verifier.split("$")
    rounds, salt = parameters.split(":")
    salted = pbkdf2_hmac("sha256", password.encode(), b64decode(salt), int(rounds))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return b64decode(keys.partition(":")[0]) == sha256(client).digest()


@pytest.mark.parametrize("part", ["edge", "mlflow"])
def test_the_program_is_one_that_the_package_installs(part: str) -> None:
    (name,) = render({"gitlabUrl": "https://a", "publicUrl": "https://b"}).container(part)[
        "command"
    ]
    assert (SCRIPTS / name).exists()
