"""The pages that people read, taken apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = tuple(sorted((ROOT / "docs").glob("*.md")))
PAGES: Final = (
    ROOT / "README.md",
    *GUIDE,
    ROOT / "envoy" / "README.md",
    ROOT / "charts" / "mlflow-extauthz" / "README.md",
)
_BLOCK: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_CODE: Final = re.compile(r"`([^`\n]+)`")
_FILLED_IN: Final = re.compile(r"<[a-zA-Z][^<>\n]*>")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code, with something in the place of what the reader fills in."""

    page: str
    language: str
    text: str


def blocks(*languages: str, pages: tuple[Path, ...] = PAGES) -> list[Block]:
    return [
        Block(page.name, language, _FILLED_IN.sub("x1", re.sub(f"(?m)^{indent}", "", text)))
        for page in pages
        for indent, language, text in _BLOCK.findall(page.read_text())
        if language in languages
    ]


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def code_in(page: Path) -> list[str]:
    """Return what is set as code within sentences and tables."""
    return _CODE.findall(prose(page))


def commands() -> Iterator[tuple[str, str]]:
    """Yield each line of the shell, continued ones joined, with its page."""
    for block in blocks("bash", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield block.page, line.strip()


def section(page: Path, heading: str) -> str:
    """Return what is below a heading, up to the next one."""
    below = page.read_text().partition(f"# {heading}\n")[2]
    return re.split(r"(?m)^#", below)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, without their heads."""
    lines = text.splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for before, line in pairwise(lines)
        if line.startswith("| ") and before.startswith("|")
    ]


def names(cell: str) -> list[str]:
    return _CODE.findall(cell)
