"""Origins: where the pages come from that may show ours within a frame of theirs."""

import re
from typing import Final

# No wildcards, and nothing that would end a directive of a security policy.
_ORIGIN: Final = re.compile(
    r"https?://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)


def origins_in(text: str) -> tuple[str, ...]:
    """Return the origins in a text, with commas or spaces between them; raises ValueError."""
    origins = tuple(word.rstrip("/") for word in text.lower().replace(",", " ").split())
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError("must be origins like https://hub.example.com, with commas between them")
    return origins


def frame_ancestors(*sources: str) -> str:
    """Return the directive of a security policy that lets a page be shown within others."""
    return " ".join(("frame-ancestors", *(sources or ("'none'",))))
