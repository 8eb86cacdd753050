"""A wall clock that jumps while a process runs; its monotonic clock goes on, as it does on Linux.

Debian's libfaketime is loaded into the process and reads from a file how far the clock is off.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The folder is named for the architecture.
_LIBRARIES: Final = Path("/usr/lib")


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of one process, or of several that agree."""

    file: Path

    @property
    def environment(self) -> dict[str, str]:
        """What to start a process with, so that it goes by this clock."""
        (library,) = _LIBRARIES.glob("*/faketime/libfaketime.so.1")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def is_off_by(self, seconds: int) -> None:
        """Let the clock jump to so many seconds after the time, or before it."""
        # In one step: a process may read it at any time.
        there = self.file.with_suffix(".new")
        there.write_text(f"{seconds:+d}\n")
        there.rename(self.file)
