"""The secret key of an installation that was given none."""

import os
import secrets
from pathlib import Path

_BYTES = 32
_PRIVATE = 0o600


def kept_secret(folder: Path) -> Path:
    """Return the file with this folder's secret key, made at the first call."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "secret-key"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE)
    except FileExistsError:
        path.chmod(_PRIVATE)
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(_BYTES) + "\n")
    return path
