import signal
import subprocess
import sys
from http.client import HTTPConnection
from socket import socket
from urllib.request import urlopen

import pytest

from tests.gitlab import DEVELOPER, GitLab, Refused
from tests.servers.ports import free_port

COMMAND = (sys.executable, "-m", "extauthz.local.gitlab")


def test_it_says_that_it_listens_and_is_ready_then() -> None:
    with GitLab.start() as gitlab, urlopen(f"{gitlab.url}/-/readiness", timeout=5) as answer:
        assert answer.read() == b'{"status": "ok"}'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_on_a_signal_with_one_line_printed(number: int) -> None:
    port = free_port()
    with subprocess.Popen(
        [*COMMAND, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(number)

        assert line == f"The demo GitLab listens on http://127.0.0.1:{port}\n"
        assert process.stdout.read() == ""
        assert process.wait(10) == 0


def test_a_hanging_call_does_not_keep_it_from_stopping() -> None:
    with GitLab.start() as gitlab:
        gitlab.faults("hang")
        connection = HTTPConnection(gitlab.url.removeprefix("http://"))
        connection.request("GET", "/api/v4/user")
        while not gitlab.calls():
            pass

        assert gitlab.stop() == 0
        connection.close()


def test_a_busy_port_is_one_clear_line() -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = str(taken.getsockname()[1])

        ended = subprocess.run(
            [*COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False
        )

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        f"The demo GitLab cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


def test_beyond_this_machine_it_serves_no_control_endpoint() -> None:
    port = free_port()
    with subprocess.Popen(
        [*COMMAND, "--port", str(port), "--host", "0.0.0.0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        connection = HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/-/demo/calls")
        status = connection.getresponse().status
        connection.close()
        process.terminate()

    assert status == 404


def test_the_helper_drives_everything_a_test_needs() -> None:
    with GitLab.start() as gitlab:
        gitlab.create_user("ann")
        gitlab.create_group("guests")
        assert gitlab.create_project("acme/vision", topics=("mlflow",), id=42) == 42
        gitlab.add_member("guests", "ann", DEVELOPER)
        gitlab.share("acme/vision", "guests", DEVELOPER)
        token = gitlab.token("ann", kind="oauth", expires_in=60)
        robot = gitlab.access_token("acme/vision", DEVELOPER)
        gitlab.update_project("acme/vision", archived=True)
        gitlab.move_project("acme/vision", "acme/seen")

        assert [status(gitlab, each) for each in (token, robot)] == [200, 200]
        gitlab.revoke(token)
        gitlab.block("ann")
        assert status(gitlab, token) == 401
        assert [call.path for call in gitlab.calls("projects")] == ["/api/v4/projects/42"] * 3

        gitlab.forget_calls()
        gitlab.faults("error", status=503, times=1)
        assert [status(gitlab, robot) for _ in range(2)] == [503, 200]
        gitlab.heal()
        gitlab.unshare("acme/seen", "guests")
        gitlab.remove_member("guests", "ann")
        gitlab.delete_project("acme/seen")
        gitlab.set_version("16.8")
        with pytest.raises(Refused, match="there is no project acme/seen"):
            gitlab.delete_project("acme/seen")

        gitlab.reset("demo")
        assert gitlab.calls() == []
        assert status(gitlab, "glpat-demo-alice", "/api/v4/user") == 200


def status(gitlab: GitLab, token: str, path: str = "/api/v4/projects/42") -> int:
    connection = HTTPConnection(gitlab.url.removeprefix("http://"))
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answered = connection.getresponse().status
    connection.close()
    return answered
