"""Settings of the plugin: the keys that open grants, and the instance they must be for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from extauthz.grant import GrantKey
from extauthz.keys import SHORTEST


class SettingsError(Exception):
    """The plugin cannot run like this; one line that says what to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The current and the previous key, and the provider instance of this database."""

    keys: tuple[GrantKey, ...]
    instance: str

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read GRANT_KEY, GRANT_KEY_PREVIOUS and INSTANCE_ID, or the files <NAME>_FILE name.

        Raises SettingsError.
        """
        current, previous = _value(environ, "GRANT_KEY"), _value(environ, "GRANT_KEY_PREVIOUS")
        instance = _value(environ, "INSTANCE_ID")
        if not current:
            raise SettingsError("Set GRANT_KEY: the key that the edge signs grants with")
        if not instance:
            raise SettingsError("Set INSTANCE_ID: the host of your GitLab or SharingHub")
        keys = [_key("GRANT_KEY", current)]
        if previous:
            keys.append(_key("GRANT_KEY_PREVIOUS", previous))
        return cls(keys=tuple(keys), instance=instance)


def _value(environ: Mapping[str, str], name: str) -> str:
    value, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if value and path:
        raise SettingsError(f"Set {name} or {name}_FILE, not both")
    if not path:
        return value
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE cannot be read: {type(error).__name__}") from error


def _key(name: str, secret: str) -> GrantKey:
    if len(secret) < SHORTEST:
        raise SettingsError(f"{name} is shorter than {SHORTEST} characters")
    return GrantKey(SecretStr(secret))
