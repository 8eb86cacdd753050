"""A request by which a developer of one project reaches for another, or for what nobody has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from tests.plugin.endpoint import TWINS
from tests.plugin.world import World

Headers = tuple[tuple[str, str], ...]
# A trace that is nowhere; always the same, as the names of tests must be.
NOWHERE = f"tr-{'0123456789abcdef' * 2}"
_PLACE = re.compile(r"<((?:ours|theirs)\.[\w.]+)>")


@dataclass(frozen=True, slots=True)
class Pair:
    """The project whose developer asks, and the other one."""

    ours: World
    theirs: World

    def fill(self, value: object) -> object:
        """Return JSON, text or bytes with ids in place of `<theirs.run>` and its like."""
        match value:
            case str():
                return _PLACE.sub(lambda match: str(attrgetter(match[1])(self)), value)
            case bytes():
                return str(self.fill(value.decode("latin-1"))).encode("latin-1")
            case {"traceId": trace, **more}:
                # OpenTelemetry has no prefix before the ids that MLflow makes of its own.
                filled = str(self.fill(trace)).removeprefix("tr-")
                return {"traceId": filled, **{key: self.fill(each) for key, each in more.items()}}
            case dict():
                return {key: self.fill(each) for key, each in value.items()}
            case list():
                return [self.fill(each) for each in value]
        return value


@dataclass(frozen=True, slots=True)
class Attack:
    """What is asked for, with the status that it must get; the store must stay as it is.

    `threat` is its row in the list of threats that the tests are made from. A path without a root
    is asked for below each of MLflow's two. Without a status, any refusal will do.
    """

    threat: int
    what: str
    body: object = None
    status: int | None = 404
    headers: Headers = ()

    def requests(self, pair: Pair) -> Iterator[tuple[str, str, object, Headers]]:
        """Yield method, path with query, body and headers."""
        method, path = str(pair.fill(self.what)).split(" ", 1)
        headers = tuple((name, str(pair.fill(value))) for name, value in self.headers)
        for root in ("",) if path.startswith("/") else TWINS:
            yield method, root + path, pair.fill(self.body), headers

    def holds(self, status: int, body: bytes, pair: Pair) -> None:
        """Hold that an answer is the one it must be, and shows nothing of the other project."""
        wanted = {400, 403, 404} if self.status is None else {self.status}
        assert status in wanted, (str(self), status, body)
        sent = str([*self.requests(pair)])
        shown = [mark for mark in pair.theirs.marks if mark.encode() in body and mark not in sent]
        assert not shown, (str(self), body)

    def __str__(self) -> str:
        return f"{self.threat}: {self.what} {'' if self.body is None else self.body}"[:150]
