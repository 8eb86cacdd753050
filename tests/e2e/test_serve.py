"""`extauthz serve` as an operator runs it."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from tests.servers.edge import SECRET_KEY
from tests.servers.ports import free_port
from tests.servers.processes import answers, clean_environment, extauthz, running, until

PUBLIC = CheckRequest(
    attributes=AttributeContext(
        request=AttributeContext.Request(
            http=AttributeContext.HttpRequest(method="GET", path="/health")
        )
    )
).SerializeToString()
SETTINGS = {"GITLAB_URL": "http://127.0.0.1:9", "SECRET_KEY": SECRET_KEY}
ALLOWED = 'extauthz_checks_total{decision="allowed",reason="none",view="public"}'


@dataclass(frozen=True, slots=True)
class Serving:
    process: subprocess.Popen[bytes]
    check: str
    admin_port: int
    log: Path


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Serving]:
    admin_port, check, log = free_port(), f"unix:{folder}/check.sock", folder / "log"
    admin = f"127.0.0.1:{admin_port}"
    argv = extauthz("serve", "--listen", check, "--admin-listen", admin, *flags)
    with running(argv, log=log, env=SETTINGS, cwd=folder) as process:
        until(lambda: answers(admin_port, "/readyz"), process, log=log)
        yield Serving(process, check, admin_port, log)


def check(address: str) -> CheckResponse:
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        return CheckResponse.FromString(call(PUBLIC, timeout=10, wait_for_ready=True))


def health(address: str, service: str = "") -> str:
    with grpc.insecure_channel(address) as channel:
        question = health_pb2.HealthCheckRequest(service=service)
        answer = health_pb2_grpc.HealthStub(channel).Check(question, timeout=10)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_it_answers_checks_health_and_metrics(tmp_path: Path) -> None:
    with serving(tmp_path) as edge:
        assert check(edge.check).status.code == 0
        assert health(edge.check) == "SERVING"
        assert health(edge.check, "envoy.service.auth.v3.Authorization") == "SERVING"
        assert get(edge.admin_port, "/livez")[0] == 200
        status, metrics = get(edge.admin_port, "/metrics")
        assert status == 200
        assert f"{ALLOWED} 1.0" in metrics
        assert get(edge.admin_port, "/")[0] == 404


def test_it_drains_before_it_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "--drain-seconds", "3") as edge:
        edge.process.send_signal(signal.SIGTERM)
        until(lambda: not answers(edge.admin_port, "/readyz"), edge.process, log=edge.log)
        assert get(edge.admin_port, "/livez")[0] == 200
        assert health(edge.check) == "NOT_SERVING"
        assert check(edge.check).status.code == 0
        assert edge.process.wait(20) == 0


def test_each_worker_has_a_socket_and_the_parent_adds_them_up(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--drain-seconds", "0") as edge:
        for number in (0, 1):
            assert check(f"unix:{tmp_path}/check-{number}.sock").status.code == 0
        _, metrics = get(edge.admin_port, "/metrics")
        assert f"{ALLOWED} 2.0" in metrics
        assert 'extauthz_build_info{provider="gitlab",version="' in metrics
        assert "pid=" not in metrics
        # What only a worker can look at is written down by it now and then.
        watched = 'extauthz_cache_entries{cache="project"} 0.0'
        until(lambda: watched in get(edge.admin_port, "/metrics")[1], edge.process, log=edge.log)
        edge.process.terminate()
        assert edge.process.wait(20) == 0


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--drain-seconds", "0") as edge:
        first = psutil.Process(edge.process.pid).children()[0]
        os.kill(first.pid, signal.SIGKILL)
        until(
            lambda: (
                len(psutil.Process(edge.process.pid).children()) == 2 and not first.is_running()
            ),
            edge.process,
            log=edge.log,
        )
        until(lambda: answers(edge.admin_port, "/readyz"), edge.process, log=edge.log)
        for number in (0, 1):
            assert check(f"unix:{tmp_path}/check-{number}.sock").status.code == 0


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2") as edge:
        workers = psutil.Process(edge.process.pid).children()
        assert len(workers) == 2
        edge.process.kill()
        edge.process.wait()
        gone, alive = psutil.wait_procs(workers, timeout=20)
        assert (len(gone), alive) == (2, [])


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        ({}, (), "Set one of GITLAB_URL and SHARINGHUB_URL"),
        ({"GITLAB_URL": "https://gitlab.example.org"}, (), "Set SECRET_KEY"),
        (SETTINGS | {"GITLAB_URL": "http://gitlab.example.org"}, (), "ALLOW_INSECURE_HTTP"),
        (
            {"SHARINGHUB_URL": "http://hub.example.org", "SECRET_KEY": SECRET_KEY},
            (),
            "ALLOW_INSECURE_HTTP",
        ),
        (SETTINGS, ("--workers", "2"), "several workers need a Unix socket"),
        (SETTINGS, ("--workers", "0"), "--workers must be at least 1"),
        (SETTINGS, ("--listen", "nowhere"), "neither host:port nor unix:/path"),
    ],
    ids=str,
)
def test_it_refuses_to_start_with_one_line_that_says_what_to_do(
    tmp_path: Path, settings: Mapping[str, str], flags: tuple[str, ...], words: str
) -> None:
    done = subprocess.run(
        extauthz("serve", *flags),
        env=clean_environment() | dict(settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
