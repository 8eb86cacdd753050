"""The command: options and settings to a deployment, and its report."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from extauthz.doctor.deployment import Application, Deployment
from extauthz.doctor.examination import examine
from extauthz.doctor.report import as_json, exit_code, table
from extauthz.doctor.wire import opened
from extauthz.edge.address import Address
from extauthz.edge.environment import read_env_file
from extauthz.edge.scope import is_project_path
from extauthz.edge.settings import Settings, SettingsError
from extauthz.edge.site import Site

_PUBLIC_URL: Final = "http://localhost:5000"
_LONGEST_TOKEN: Final = 8192
_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_MOST_SECONDS: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What the command line says; an empty text was not given."""

    url: str = ""
    connect: str = ""
    mlflow: str = ""
    envoy_admin: str = ""
    gitlab: str = ""
    token_file: Path | None = None
    project: str = ""
    project_of_others: str = ""
    database: str = ""
    seconds: float = 60.0
    json: bool = False
    env_file: Path = Path(".env")


def doctor(options: DoctorOptions, environ: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """Examine a deployment; returns the report and the exit code. Raises SettingsError."""
    if not 0 < options.seconds < _MOST_SECONDS:
        raise SettingsError(f"--seconds must be between 0 and {_MOST_SECONDS}")
    settings = _settings(options, environ)
    return asyncio.run(_examined(options, settings))


async def _examined(options: DoctorOptions, settings: Settings | None) -> tuple[str, int]:
    public = settings.public_url if settings else _PUBLIC_URL
    site = Site.of(_url("URL", options.url or public))
    connect = Address.parse(options.connect) if options.connect else None
    if connect and connect.path:
        raise SettingsError("--connect takes host:port")
    token = _token(options.token_file)
    async with opened(site, connect) as wire:
        deployment = Deployment(
            wire=wire,
            site=site,
            connect=connect,
            mlflow=_url("--mlflow", options.mlflow or _set(settings, "mlflow_url")),
            envoy_admin=_url("--envoy-admin", options.envoy_admin),
            gitlab=_url("--gitlab", options.gitlab or (settings.gitlab_url if settings else "")),
            sharinghub=settings.sharinghub_url if settings else "",
            sharinghub_cookie=settings.sharinghub_session_cookie if settings else "",
            application=_application(settings),
            token=token,
            service_token=_secret(settings.gitlab_service_token) if settings else None,
            project=_project("--project", options.project),
            foreign_project=_project("--project-of-others", options.project_of_others),
            database=_secret(
                SecretStr(options.database or _set(settings, "mlflow_backend_store_uri"))
            ),
            instance=settings.instance if settings else "",
        )
        findings = await examine(deployment, seconds=options.seconds)
    told = as_json if options.json else table
    return told(deployment.public_url, findings), exit_code(findings)


def _settings(options: DoctorOptions, environ: Mapping[str, str]) -> Settings | None:
    """Return the settings of the edge, as far as they are here; none where no provider is set."""
    given = {**read_env_file(options.env_file), **environ}
    if given.get("GITLAB_URL") or given.get("SHARINGHUB_URL"):
        return Settings.load(environ, env_file=options.env_file)
    if gitlab := _url("--gitlab", options.gitlab):
        defaults = {"GITLAB_URL": gitlab}
        return Settings.load(environ, env_file=options.env_file, defaults=defaults)
    return None


def _set(settings: Settings | None, name: str) -> str:
    """Return a setting if somebody has set it: what is only the default may be somewhere else."""
    known = settings is not None and name in settings.model_fields_set
    return str(getattr(settings, name)) if known else ""


def _application(settings: Settings | None) -> Application | None:
    if settings is None or not settings.has_login:
        return None
    return Application(settings.gitlab_oauth_client_id, settings.gitlab_oauth_client_secret)


def _secret(secret: SecretStr) -> SecretStr | None:
    return secret if secret.get_secret_value() else None


def _url(name: str, text: str) -> str:
    url = urlsplit(text)
    if not text:
        return ""
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.netloc.rpartition("@")[2]):
        raise SettingsError(f"{name} must look like https://host or https://host/path")
    if "@" in url.netloc:
        raise SettingsError(f"{name} must not hold a name or a password")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def _project(name: str, path: str) -> str:
    if path and not is_project_path(path):
        raise SettingsError(f"{name} takes the full path of a project, such as group/project")
    return path


def _token(file: Path | None) -> SecretStr | None:
    if file is None:
        return None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--token-file cannot be read: {type(error).__name__}") from None
    if not token or not token.isascii() or not token.isprintable() or len(token) > _LONGEST_TOKEN:
        raise SettingsError("--token-file must hold one token and nothing else")
    return SecretStr(token)
