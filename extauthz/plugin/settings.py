"""Settings of the plugin: the keys that open grants, the instance they must be for, and frames."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from extauthz.grant import GrantKey
from extauthz.keys import SHORTEST
from extauthz.origins import origins_in

Address = tuple[str, int]
_PORTS = 1 << 16


class SettingsError(Exception):
    """The plugin cannot run like this; one line that says what to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The current and the previous key, and the provider instance of this database.

    `framed_by` are the origins of other sites whose pages may show MLflow in a frame. `tolerant`
    starts an MLflow with parts that nobody has judged; they stay refused. `metrics` is where
    Prometheus finds them.
    """

    keys: tuple[GrantKey, ...]
    instance: str
    framed_by: tuple[str, ...] = ()
    tolerant: bool = False
    metrics: Address | None = None
    log_format: str = "auto"
    log_level: str = "info"

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read GRANT_KEY, GRANT_KEY_PREVIOUS and INSTANCE_ID, or the files <NAME>_FILE name.

        FRAME_ANCESTORS, MLFLOW_UNCLASSIFIED, METRICS_LISTEN, LOG_FORMAT and LOG_LEVEL as well,
        which are no secrets. Raises SettingsError.
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
        return cls(
            keys=tuple(keys),
            instance=instance,
            framed_by=_framed_by(environ),
            tolerant=_choice(environ, "MLFLOW_UNCLASSIFIED", "stop", "warn") == "warn",
            metrics=_address(environ, "METRICS_LISTEN"),
            log_format=_choice(environ, "LOG_FORMAT", "auto", "json", "console"),
            log_level=_choice(environ, "LOG_LEVEL", "info", "debug", "warning", "error"),
        )


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


def _choice(environ: Mapping[str, str], name: str, default: str, *others: str) -> str:
    value = environ.get(name) or default
    if value not in (default, *others):
        raise SettingsError(f"{name} is {', '.join((default, *others[:-1]))} or {others[-1]}")
    return value


def _address(environ: Mapping[str, str], name: str) -> Address | None:
    text = environ.get(name, "")
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < _PORTS:
        raise SettingsError(f"{name} is host:port, such as 127.0.0.1:5002")
    return host.strip("[]"), int(port)


def _framed_by(environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return origins_in(environ.get("FRAME_ANCESTORS", ""))
    except ValueError as error:
        raise SettingsError(f"FRAME_ANCESTORS {error}") from error


def _key(name: str, secret: str) -> GrantKey:
    if len(secret) < SHORTEST:
        raise SettingsError(f"{name} is shorter than {SHORTEST} characters")
    return GrantKey(SecretStr(secret))
