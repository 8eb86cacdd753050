"""Waiting for an answer, never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], wanted: T, *, wait: float = 20) -> None:
    """Ask until the answer is the wanted one; fails with the last answer."""
    deadline = time.monotonic() + wait
    while (found := probe()) != wanted:
        assert time.monotonic() < deadline, f"still {found!r}, not {wanted!r}"
        time.sleep(0.05)
