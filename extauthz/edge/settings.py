"""Settings: the environment and `.env`, read once and checked as a whole."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from extauthz.edge.environment import misspelt, read_env_file, unknown, without_empty
from extauthz.edge.site import Site
from extauthz.keys import SHORTEST, Purpose, derive_text
from extauthz.origins import origins_in


class SettingsError(Exception):
    """Settings that are unsafe or contradict each other; one line that says what to set."""


def _no_slash(value: object) -> object:
    return value.rstrip("/") if isinstance(value, str) else value


def _comma_separated(value: object) -> object:
    if not isinstance(value, str):
        return value
    items = tuple(item.strip() for item in value.split(","))
    # A lost name here would open what the others were meant to close.
    if not all(items):
        raise ValueError("must be names with commas between them")
    return items


def _origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    origins = origins_in(value)
    # A page over plain http could be changed on its way, and ours within it be led anywhere.
    if any(_leaks(urlsplit(origin)) for origin in origins):
        raise ValueError("must be https:// on other machines")
    return origins


Url = Annotated[str, BeforeValidator(_no_slash)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
Topics = Annotated[tuple[str, ...], BeforeValidator(_comma_separated)]
# A token (RFC 6265): it is sent to SharingHub as it stands.
CookieName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Settings(BaseModel):
    """Everything that can be set. Names are the environment variables in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # The provider: one of the two URLs.
    gitlab_url: Url = ""
    gitlab_oauth_client_id: str = ""
    gitlab_oauth_client_secret: SecretStr = SecretStr("")
    gitlab_oauth_scopes: str = "openid profile email read_user api"
    gitlab_service_token: SecretStr = SecretStr("")
    ci_audience: str = ""
    gitlab_mandatory_topics: Topics = ()
    sharinghub_url: Url = ""
    sharinghub_session_cookie: CookieName = "sharinghub-session"
    sharinghub_auth_default_token: bool = False
    sharinghub_auth_cache_timeout: Seconds = 60
    sharinghub_stac_collection: str = "ai-model"
    instance_id: str = ""
    visitor_access: Literal["none", "read"] = "none"

    # Where things are.
    public_url: Url = "http://localhost:5000"
    mlflow_url: Url = "http://127.0.0.1:5001"
    frame_ancestors: Origins = ()
    trusted_hops: Annotated[int, Field(ge=0, le=8)] = 0
    allow_insecure_http: bool = False

    # Keys. `grant_key` is derived from `secret_key` unless set.
    secret_key: SecretStr = SecretStr("")
    secret_key_previous: SecretStr = SecretStr("")
    grant_key: SecretStr = SecretStr("")
    grant_key_previous: SecretStr = SecretStr("")

    # How long an answer of the provider is believed, in seconds.
    project_cache_timeout: Seconds = 30
    stale_if_error: Seconds = 600

    # Browser sessions.
    login_auto_redirect: bool = False
    permanent_session_lifetime: Annotated[float, Field(ge=60, le=604_800)] = 7200
    session_store_url: SecretStr = SecretStr("")

    # What is written down about decisions.
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_subjects: bool = False

    # What `extauthz up` starts MLflow with, and what `extauthz migrate` looks for.
    mlflow_backend_store_uri: str = "sqlite:///data/mlflow.db"
    mlflow_artifacts_destination: str = "data/mlartifacts"
    mlflow_workers: Annotated[int, Field(ge=1, le=64)] = 1
    project_tag: str = "project"

    @classmethod
    def load(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        env_file: Path | None = None,
        defaults: Mapping[str, str] | None = None,
    ) -> Self:
        """Read the environment over the file over `defaults`; raises SettingsError.

        A secret may also be given as the path of a file in <NAME>_FILE. An empty value is unset.
        """
        in_file = read_env_file(env_file)
        known = cls._names() | {f"{name}_FILE" for name in cls._secret_names()}
        for name in [
            *misspelt(in_file, known),
            *unknown(in_file, known),
            *unknown(environ, known),
        ]:
            raise SettingsError(f"{name} is not a setting: see .env.example for the names")
        given = {**(defaults or {}), **without_empty(in_file), **without_empty(environ)}
        values = {name: given[name] for name in cls._names() if name in given}
        for name in cls._secret_names():
            if path := given.get(f"{name}_FILE"):
                if name in values:
                    raise SettingsError(f"Set {name} or {name}_FILE, not both")
                values[name] = _read(name, Path(path))
        try:
            return cls(**{name.lower(): value for name, value in values.items()})
        except ValidationError as error:
            raise SettingsError(_one_line(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _settle_keys(cls, values: dict[str, Any]) -> dict[str, Any]:
        secret = values.get("secret_key", "")
        for name in ("secret_key", "secret_key_previous", "grant_key", "grant_key_previous"):
            key = values.get(name, "")
            if key and (len(key) < SHORTEST or len(set(key)) < _FEWEST_DIFFERENT):
                raise ValueError(
                    f"{name.upper()} is shorter than {SHORTEST} characters or could be guessed: "
                    "make one with `openssl rand -hex 32`"
                )
        if secret and not values.get("grant_key"):
            derived = derive_text(SecretStr(secret), Purpose.GRANT)
            values = {**values, "grant_key": derived.get_secret_value()}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.gitlab_url) is bool(self.sharinghub_url):
            raise ValueError("Set one of GITLAB_URL and SHARINGHUB_URL")
        for name in ("gitlab_url", "sharinghub_url", "public_url", "mlflow_url"):
            _check_url(name.upper(), getattr(self, name))
        if bool(self.gitlab_oauth_client_id) is not bool(
            self.gitlab_oauth_client_secret.get_secret_value()
        ):
            raise ValueError("Set both GITLAB_OAUTH_CLIENT_ID and GITLAB_OAUTH_CLIENT_SECRET")
        self._agree_on_provider()
        if urlsplit(self.mlflow_url).path:
            raise ValueError("MLFLOW_URL must not have a path")
        return self

    def _agree_on_provider(self) -> None:
        if self.sharinghub_url and self.gitlab_mandatory_topics:
            raise ValueError(
                "GITLAB_MANDATORY_TOPICS needs GITLAB_URL: with SHARINGHUB_URL, set "
                "SHARINGHUB_STAC_COLLECTION"
            )
        if "openid" not in self.gitlab_oauth_scopes.split():
            raise ValueError("GITLAB_OAUTH_SCOPES must contain openid")
        store = self.session_store_url.get_secret_value()
        if store and not store.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("SESSION_STORE_URL must begin with redis://, rediss:// or unix://")
        if self.ci_audience and self.sharinghub_url:
            raise ValueError("CI_AUDIENCE needs GITLAB_URL: SharingHub knows no CI jobs")
        if self.ci_audience and self.ci_audience in (self.gitlab_url, self.gitlab_oauth_client_id):
            # Other tokens of GitLab's have these audiences (its former CI_JOB_JWT, and logins).
            raise ValueError("CI_AUDIENCE must be neither GITLAB_URL nor GITLAB_OAUTH_CLIENT_ID")
        if self.ci_audience and not self.gitlab_service_token.get_secret_value():
            raise ValueError(
                "CI_AUDIENCE needs GITLAB_SERVICE_TOKEN: a token with read_api that sees the "
                "projects, to read their topics and whether they are archived"
            )

    def check_workers(self, number: int) -> Self:
        """Refuse several workers that cannot share their sessions; raises SettingsError."""
        if number > 1 and self.has_login and not self.session_store_url.get_secret_value():
            raise SettingsError(
                "Several workers with GitLab login need SESSION_STORE_URL=redis://...: each token "
                "refreshes once, so they must share sessions. Or run one worker"
            )
        return self

    def check_for_serving(self) -> Self:
        """Refuse what `serve` and the images must not run with; raises SettingsError."""
        if not self.secret_key.get_secret_value():
            raise SettingsError("Set SECRET_KEY: make one with `openssl rand -hex 32`")
        for name, url in self.insecure_urls():
            if not self.allow_insecure_http:
                raise SettingsError(
                    f"{name} is plain http ({url}): credentials could be read on the way. "
                    "Use https, or set ALLOW_INSECURE_HTTP=true"
                )
        return self

    def insecure_urls(self) -> list[tuple[str, str]]:
        """Return the settings whose plain-http URL leaves this machine."""
        urls = {
            "GITLAB_URL": self.gitlab_url,
            "SHARINGHUB_URL": self.sharinghub_url,
            "PUBLIC_URL": self.public_url,
        }
        return [(name, url) for name, url in urls.items() if url and _leaks(urlsplit(url))]

    @property
    def has_login(self) -> bool:
        """Whether people sign in here, with GitLab."""
        return bool(self.gitlab_url and self.gitlab_oauth_client_id)

    @property
    def provider_url(self) -> str:
        """The base URL of GitLab or SharingHub."""
        return self.gitlab_url or self.sharinghub_url

    @property
    def instance(self) -> str:
        """The name of the provider instance whose project ids the database holds."""
        url = urlsplit(self.provider_url)
        # Two GitLabs may share a host, each under a path of its own.
        return self.instance_id or f"{url.netloc}{url.path}"

    @property
    def site(self) -> Site:
        """Where people reach us."""
        return Site.of(self.public_url)

    @property
    def framed_by(self) -> tuple[str, ...]:
        """The origins of other sites whose pages may show ours in a frame."""
        if self.sharinghub_url and not self.frame_ancestors:
            return (Site.of(self.sharinghub_url).origin,)
        return self.frame_ancestors

    @property
    def mlflow_host(self) -> str:
        """The one Host that MLflow is addressed with and allows."""
        return urlsplit(self.mlflow_url).netloc

    @classmethod
    def _names(cls) -> frozenset[str]:
        return frozenset(name.upper() for name in cls.model_fields)

    @classmethod
    def _secret_names(cls) -> list[str]:
        fields = cls.model_fields.items()
        return [name.upper() for name, field in fields if field.annotation is SecretStr]


_FEWEST_DIFFERENT = 8
# Neither user names, queries nor dot segments.
_URL = re.compile(
    r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(/(?!\.{1,2}(/|\Z))[A-Za-z0-9._~-]+)*"
)


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{name}_FILE cannot be read: {error.strerror}") from error


def _one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    return ": ".join([*(str(part).upper() for part in first["loc"]), message])


def _check_url(name: str, url: str) -> None:
    if url and not _URL.fullmatch(url):
        raise ValueError(f"{name} must look like https://host or https://host/path")
    if urlsplit(url).port == 0:
        raise ValueError(f"{name} has no valid port")


def _leaks(url: SplitResult) -> bool:
    return url.scheme == "http" and not _is_loopback(url.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
