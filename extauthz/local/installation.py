"""The settings that `up` and `demo` run with."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from extauthz.edge.settings import Settings, SettingsError
from extauthz.local.folder import own_folder
from extauthz.local.gitlab.world import CLIENT_ID, CLIENT_SECRET
from extauthz.local.options import RunOptions
from extauthz.local.secret import kept_secret
from extauthz.local.stack import LOOPBACK, Installation, foreign

_MLFLOW_PORT: Final = 5001
_NO_FILE: Final = Path(os.devnull)


def own_installation(options: RunOptions) -> Installation:
    """Read the environment and `.env`; raises SettingsError."""
    environ = {**os.environ, "ALLOW_INSECURE_HTTP": "true"}
    if options.mlflow_port:
        environ["MLFLOW_URL"] = _url(options.mlflow_port)
    settings = _load(environ, options).check_workers(options.workers)
    if urlsplit(settings.mlflow_url).hostname != LOOPBACK:
        raise SettingsError(f"MLFLOW_URL must be like {_url(_MLFLOW_PORT)}: up runs MLflow here")
    folder = options.data.absolute()
    own_folder(folder)
    if not settings.secret_key.get_secret_value():
        environ["SECRET_KEY_FILE"] = str(kept_secret(folder))
        settings = _load(environ, options)
    environ |= {"PUBLIC_URL": settings.public_url, "MLFLOW_URL": settings.mlflow_url}
    return Installation(settings, environ, options.env_file)


def demo_installation(options: RunOptions) -> Installation:
    """Return the settings of the demo, whatever the environment and `.env` say."""
    folder = options.data.absolute() / "demo"
    own_folder(folder)
    given = {
        **_places(folder, options),
        "GITLAB_URL": _url(options.gitlab_port),
        "GITLAB_MANDATORY_TOPICS": "mlflow",
        # The data outlives a demo on another port.
        "INSTANCE_ID": "demo",
        "MLFLOW_URL": _url(options.mlflow_port or _MLFLOW_PORT),
        "SECRET_KEY_FILE": str(kept_secret(folder)),
    }
    if options.workers == 1:
        # Several would need a Redis to share sessions.
        given |= {"GITLAB_OAUTH_CLIENT_ID": CLIENT_ID, "GITLAB_OAUTH_CLIENT_SECRET": CLIENT_SECRET}
    return Installation(Settings.load(given), {**foreign(os.environ), **given}, _NO_FILE)


def _load(environ: dict[str, str], options: RunOptions) -> Settings:
    defaults = _places(options.data.absolute(), options)
    return Settings.load(environ, env_file=options.env_file, defaults=defaults)


def _places(folder: Path, options: RunOptions) -> dict[str, str]:
    return {
        "PUBLIC_URL": f"http://localhost:{options.port}",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "mlartifacts"),
    }


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"
