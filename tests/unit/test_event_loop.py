"""Nothing that decides blocks the event loop, which serves everybody (threat 80)."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from extauthz.edge.refusals import Unauthenticated
from tests.access import deciding
from tests.gitlab import DEVELOPER, GitLab

PATH = "acme/vision"
# What Python tells of before it waits for something (its table of audit events).
BLOCKING = {"open", "time.sleep", "subprocess.Popen", "os.system", "socket.getaddrinfo"}


@dataclass
class Watch:
    """The blocking calls that one thread has made."""

    thread: int = field(default_factory=threading.get_ident)
    seen: list[str] = field(default_factory=list)
    on: bool = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or threading.get_ident() != self.thread:
            return
        waits = event == "socket.connect" and arguments[0].gettimeout() != 0
        if event in BLOCKING or waits:
            self.seen.append(event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


@pytest.fixture(scope="module")
def watch() -> Watch:
    watch = Watch()
    sys.addaudithook(watch)
    return watch


async def test_the_watch_sees_what_blocks(watch: Watch) -> None:
    with watch.watching(), open(__file__) as file:  # noqa: ASYNC230, PTH123 - it blocks on purpose
        file.read(1)
    assert watch.seen == ["open"]
    watch.seen.clear()


async def test_no_decision_blocks(watch: Watch) -> None:
    with GitLab.start() as gitlab:
        gitlab.create_user("ann")
        gitlab.create_project(PATH, id=7)
        gitlab.add_member(PATH, "ann", DEVELOPER)
        tokens = [gitlab.token("ann") for _ in range(3)]
        async with deciding(gitlab) as world:
            world.mlflow.ids = [7]
            # What is imported late is imported now.
            await world.in_project(tokens[0], PATH)
            await world.everywhere(tokens[0])
            with watch.watching():
                for token in tokens:
                    await world.in_project(token, PATH)
                    await world.everywhere(token)
                    world.known_project(token, PATH)
                with pytest.raises(Unauthenticated):
                    await world.in_project("made-up", PATH)
    assert watch.seen == []
