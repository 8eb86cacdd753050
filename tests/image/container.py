"""Containers of the images, each as locked in as it may be."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

# As Kubernetes' "restricted" profile and a read-only root want it.
HARDENED = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--memory=2g", "--pids-limit=512"),
)
# The uid of the images' own user.
USER = 1000
# Kubernetes' grace period, in seconds.
_GRACE = 30
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Container:
    """A started container."""

    name: str

    @property
    def logs(self) -> str:
        """What it has written."""
        argv = ("podman", "logs", self.name)
        return subprocess.check_output(argv, stderr=subprocess.STDOUT, text=True, timeout=60)

    @property
    def exit_code(self) -> int | None:
        """The exit code, once it has ended."""
        state = _inspect("container", self.name)["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def is_healthy(self) -> bool:
        """Run the image's health check."""
        return podman("healthcheck", "run", self.name).returncode == 0

    def until_healthy(self, *, wait: float = 150) -> None:
        """Wait until the health check passes; fails with the output otherwise."""
        deadline = time.monotonic() + wait
        while not self.is_healthy():
            assert self.exit_code is None, self.logs
            assert time.monotonic() < deadline, self.logs
            time.sleep(0.5)

    def stop(self) -> int | None:
        """Send what STOPSIGNAL says, and SIGKILL after the grace period; returns the exit code."""
        podman("stop", f"--time={_GRACE}", self.name)
        return self.exit_code


@contextmanager
def container(
    target: str,
    *command: str,
    env: Mapping[str, str] | None = None,
    data: Path | None = None,
    flags: Sequence[str] = (),
) -> Iterator[Container]:
    """Run an image in the background until the block ends; `data` is mounted as the guide does."""
    name = f"{target}-{next(_numbers)}"
    given = ("--detach", "--name", name, "--network=host", *flags)
    # There is no systemd that could run it in intervals.
    podman_run(target, *command, env=env, data=data, flags=("--health-interval=disable", *given))
    try:
        yield Container(name)
    finally:
        podman("rm", "--force", "--time=0", name)


def run_once(
    target: str,
    *command: str,
    env: Mapping[str, str] | None = None,
    data: Path | None = None,
    flags: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run an image to its end, in the foreground and without a network."""
    given = ("--rm", "--network=none", "--no-healthcheck", *flags)
    return podman_run(target, *command, env=env, data=data, flags=given, check=False)


def podman_run(
    target: str,
    *command: str,
    env: Mapping[str, str] | None,
    data: Path | None,
    flags: Sequence[str],
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `podman run` with the image of a target."""
    settings = [f"--env={name}={value}" for name, value in (env or {}).items()]
    volume = [f"--volume={data}:/home/mlflow/data"] if data else []
    done = podman("run", *HARDENED, *flags, *settings, *volume, f"extauthz:{target}", *command)
    assert not check or done.returncode == 0, done.stderr
    return done


def podman(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run podman."""
    return subprocess.run(
        ["podman", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def image(target: str) -> dict[str, Any]:
    """Return what the image of a target says of itself."""
    return _inspect("image", f"extauthz:{target}")


def _inspect(kind: str, name: str) -> dict[str, Any]:
    done = podman(kind, "inspect", name)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return dict(found)
