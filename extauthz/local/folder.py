"""The folder that an installation keeps its data in."""

import os
from pathlib import Path

from extauthz.edge.settings import SettingsError


def own_folder(folder: Path) -> None:
    """Make the folder unless it is there; raises SettingsError when we may not write in it.

    Volumes of containers often belong to somebody else: Docker makes a missing one for root.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _need(folder, os.R_OK | os.W_OK | os.X_OK)
        for path in folder.iterdir():
            _need(path, os.R_OK | os.W_OK)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error


def _need(path: Path, mode: int) -> None:
    if os.access(path, mode, effective_ids=True):
        return
    owner, we = path.stat().st_uid, os.geteuid()
    if owner == we:
        raise SettingsError(
            f"{path} is not writable: mount a volume there, or give --data another folder"
        )
    raise SettingsError(
        f"{path} belongs to user {owner}, and we are user {we}: `chown -R {we}` the data (on the "
        "host, if this is a container), or run as its owner (`docker run --user`)"
    )
