"""What the user sees: each part's lines behind its name, and our own."""

import json
import sys
from collections.abc import Iterable
from typing import Final, Self, TextIO

OURS: Final = "extauthz"
# A terminal shows what happens now, and mostly what is in order.
_UNSHOWN: Final = ("time", "timestamp")
_USUAL: Final = ("level", "info")
_COLOURS: Final = (36, 33, 35, 32, 34)  # cyan, yellow, magenta, green, blue


class Terminal:
    """Writes lines with an aligned prefix, in colour if `colour`."""

    def __init__(self, out: TextIO, names: Iterable[str], *, colour: bool) -> None:
        self._out = out
        self._prefixes = _prefixes([OURS, *names], colour=colour)

    @classmethod
    def standard(cls, names: Iterable[str], *, plain: bool) -> Self:
        """Write to standard output, in colour on a terminal unless `plain`."""
        return cls(sys.stdout, names, colour=sys.stdout.isatty() and not plain)

    def line(self, name: str, text: str) -> None:
        """Write a line of a part."""
        self._out.write(f"{self._prefixes[name]}{readable(text)}\n")
        self._out.flush()

    def say(self, text: str) -> None:
        """Write a line of our own."""
        self.line(OURS, text)

    def show(self, text: str) -> None:
        """Write a text that can be copied: without prefixes."""
        self._out.write(f"\n{text}\n\n")
        self._out.flush()


def readable(line: str) -> str:
    """Return a log line in JSON as text, and any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    event = fields.pop("event", "")
    shown = [
        f"{name}={value}"
        for name, value in fields.items()
        if name not in _UNSHOWN and (name, value) != _USUAL
    ]
    return " ".join([str(event), *shown]).strip()


def _prefixes(names: list[str], *, colour: bool) -> dict[str, str]:
    width = max(map(len, names))
    plain = {name: f"{name:{width}} | " for name in names}
    if not colour:
        return plain
    return {
        name: f"\033[{_COLOURS[number % len(_COLOURS)]}m{prefix}\033[0m"
        for number, (name, prefix) in enumerate(plain.items())
    }
