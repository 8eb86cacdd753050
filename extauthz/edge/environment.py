"""The environment: where settings are read from, and which names cannot be meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

_ALIKE = 0.88
_OURS = re.compile(r"(GITLAB_|SHARINGHUB_|EXTAUTHZ_|GRANT_KEY|PROJECT_CACHE_)")
# GitLab's runner and Kubernetes' service links put names like these into every environment.
_FOREIGN = re.compile(
    r"GITLAB_(CI|FEATURES|USER_\w+|ENV|OIDC_\w+)|\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?)"
    r"|\w+_PORT(_\d+_\w+)?"
)


def read_env_file(path: Path | None) -> dict[str, str]:
    """Return what a file sets; one that is not there sets nothing."""
    if path is None or not path.exists():
        return {}
    # A secret may hold a dollar sign.
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


def without_empty(given: Mapping[str, str]) -> dict[str, str]:
    """Return what is set: an empty value is not."""
    return {name: value for name, value in given.items() if value}


def unknown(given: Iterable[str], known: frozenset[str]) -> list[str]:
    """Return the names that begin like ours and are none."""
    return [
        name
        for name in given
        if _OURS.match(name) and name not in known and not _FOREIGN.fullmatch(name)
    ]


def misspelt(given: Iterable[str], known: frozenset[str]) -> list[str]:
    """Return the names that only look like ours: each would leave a default in force."""
    return [
        name
        for name in given
        if name not in known and get_close_matches(name.upper(), known, n=1, cutoff=_ALIKE)
    ]
