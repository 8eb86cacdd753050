"""Which parts run which of our code, and telling when it changes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from watchfiles import PythonFilter, awatch

import extauthz
from extauthz.local.stack import EDGE, ENVOY, GITLAB, MLFLOW

_SETTLE: Final = 300  # milliseconds to wait for further changes: editors write in steps
# The first prefix of a path below the package decides; the rest is shared by edge and plugin.
_OWNERS: Final = (
    ("edge/envoy_", (ENVOY,)),
    ("local/envoy.py", (ENVOY,)),
    ("edge/", (EDGE,)),
    ("_pb/", (EDGE,)),
    ("plugin/", (MLFLOW,)),
    ("local/gitlab/", (GITLAB,)),
    ("local/", ()),
    ("cli.py", ()),
    ("commands/", ()),
    ("", (MLFLOW, EDGE)),
)


def owners(path: Path) -> tuple[str, ...]:
    """Return the parts to restart for a changed file, given relative to the package."""
    name = path.as_posix()
    return next(parts for prefix, parts in _OWNERS if name.startswith(prefix))


async def changed_parts() -> AsyncIterator[set[str]]:
    """Yield the parts whose code has changed, each time some has."""
    package = Path(extauthz.__file__).parent
    async for changes in awatch(package, watch_filter=PythonFilter(), debounce=_SETTLE):
        files = [Path(path).relative_to(package) for _, path in changes]
        yield {part for file in files for part in owners(file)}
