"""The saved corpus: one case a line, and above each family a word on where it comes from.

Lines that begin with `# ` are such words. Cases are ASCII with Python's escapes, so a backslash is
written twice, and `{x*100}` stands for a hundred times `x`.
"""

import re
from pathlib import Path
from typing import Final

from hypothesis import strategies as st

_CORPUS: Final = Path(__file__).parent / "corpus"
_REPEATED: Final = re.compile(r"\{([^{}]+)\*([0-9]{1,6})\}")


def cases(name: str) -> list[str]:
    """Return the cases of a file."""
    lines = (_CORPUS / f"{name}.txt").read_text("ascii").split("\n")
    return [_written(line) for line in lines if line and not line.startswith("# ")]


def texts(name: str) -> st.SearchStrategy[str]:
    """Return the cases of a file, changed ones, and what is made of parts of several."""
    lines = cases(name)
    # Hypothesis would write all of them into its messages.
    known = st.integers(0, len(lines) - 1).map(lambda at: lines[at])
    return st.one_of(known, changed(known), st.tuples(known, known).flatmap(_spliced))


@st.composite
def changed(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Return a text with up to three places changed: cut, doubled, or written over."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 8)))
        new = draw(
            st.one_of(
                st.just(text[start:end] * 2),
                st.text(max_size=3),
                st.sampled_from(["%2e", "%2F", "%00", "\\", "/", "..", ";", "'", '"', "\n", ","]),
            )
        )
        text = text[:start] + new + text[end:]
    return text


def _spliced(pair: tuple[str, str]) -> st.SearchStrategy[str]:
    one, other = pair
    ends = st.tuples(st.integers(0, len(one)), st.integers(0, len(other)))
    return ends.map(lambda at: one[: at[0]] + other[at[1] :])


@st.composite
def damaged(draw: st.DrawFn, wholes: st.SearchStrategy[bytes]) -> bytes:
    """Return bytes with bits turned over, parts cut out, doubled or put elsewhere, or junk in."""
    whole = draw(wholes)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(whole)))
        end = min(len(whole), start + draw(st.integers(0, 40)))
        part = whole[start:end]
        new = draw(
            st.one_of(
                st.just(b""),
                st.just(part * 2),
                st.binary(max_size=6),
                st.integers(0, 7).map(lambda bit, part=part: bytes(b ^ 1 << bit for b in part[:1])),  # type: ignore[misc] # mypy loses the default
                wholes.map(lambda other: other[:40]),
            )
        )
        whole = whole[:start] + new + whole[end:]
    return whole


def _written(line: str) -> str:
    plain = line.encode("ascii").decode("unicode_escape")
    return _REPEATED.sub(lambda found: found[1] * int(found[2]), plain)
