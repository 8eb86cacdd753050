"""Write the table of the chart's values into its README, from the comments in values.yaml."""  # noqa: INP001 - a script, not a package

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "charts" / "mlflow-extauthz"
_KEY: Final = re.compile(r"( *)([A-Za-z0-9]+):(?: (.*))?$")
_TABLE: Final = re.compile(r"(<!-- values -->\n).*(<!-- /values -->\n)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its path, its default and what it means."""

    path: tuple[str, ...]
    default: Any
    meaning: str

    @property
    def name(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


def values(text: str) -> list[Value]:
    """Return the values in order; raises ValueError for one without a comment."""
    defaults = yaml.safe_load(text)
    return [
        Value(path, _at(defaults, path), meaning) for path, meaning in _commented(text.splitlines())
    ]


def _commented(lines: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find the values: a key with a comment is one, whatever is below it; the others group."""
    above: list[tuple[int, str]] = []
    comment: list[str] = []
    inside = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            comment = []
        elif line.lstrip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif -1 < inside < indent:
            continue
        elif key := _KEY.match(line):
            inside = -1
            above = [(depth, name) for depth, name in above if depth < indent]
            path = (*(name for _, name in above), key[2])
            if comment:
                yield path, " ".join(comment)
                inside = indent
            elif key[3]:
                raise ValueError(f"{'.'.join(path)} has no comment")
            else:
                above.append((indent, key[2]))
            comment = []


def _at(defaults: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        defaults = defaults[name]
    return defaults


def table(text: str) -> str:
    """Return the table in Markdown."""
    rows = [
        f"| `{value.name}` | {_shown(value.default)} | {value.meaning} |" for value in values(text)
    ]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows, ""])


def _shown(default: Any) -> str:
    if default == "":
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def readme() -> str:
    """Return the README with its table made anew."""
    made = table((CHART / "values.yaml").read_text())
    return _TABLE.sub(lambda around: f"{around[1]}{made}{around[2]}", _path().read_text())


def _path() -> Path:
    return CHART / "README.md"


if __name__ == "__main__":
    _path().write_text(readme())
    sys.exit()
