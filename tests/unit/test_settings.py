from pathlib import Path

import pytest

from extauthz.edge.settings import Settings, SettingsError

GITLAB = {"GITLAB_URL": "https://gitlab.example.com"}
SECRET = "0123456789abcdef0123456789abcdef"

# The three blocks of mlflow-sharinghub's guide, as they stand there.
PREDECESSOR = {
    "gitlab": """\
PROJECT_CACHE_TIMEOUT=30
LOGIN_AUTO_REDIRECT=false

GITLAB_URL=https://gitlab.example.com
GITLAB_OAUTH_CLIENT_ID=<client-id>
GITLAB_OAUTH_CLIENT_SECRET=<client-secret>
""",
    "sharinghub with a default token": """\
PROJECT_CACHE_TIMEOUT=30
LOGIN_AUTO_REDIRECT=false

SHARINGHUB_URL=http://sharinghub.example.com
SHARINGHUB_AUTH_DEFAULT_TOKEN=true
""",
    "sharinghub": """\
PROJECT_CACHE_TIMEOUT=30
LOGIN_AUTO_REDIRECT=false

SHARINGHUB_URL=http://sharinghub.example.com
""",
}


def load(**environ: str) -> Settings:
    return Settings.load(environ)


@pytest.mark.parametrize("block", PREDECESSOR.values(), ids=PREDECESSOR.keys())
def test_the_predecessors_blocks_are_read_as_they_stand(tmp_path: Path, block: str) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(block)
    settings = Settings.load({}, env_file=env_file)
    assert settings.provider_url in (
        "https://gitlab.example.com",
        "http://sharinghub.example.com",
    )
    assert settings.sharinghub_auth_default_token is ("DEFAULT_TOKEN=true" in block)
    assert settings.project_cache_timeout == 30


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("GITLAB_URL=https://file.example.com\nPROJECT_CACHE_TIMEOUT=7\n")
    settings = Settings.load(GITLAB, env_file=env_file)
    assert settings.gitlab_url == "https://gitlab.example.com"
    assert settings.project_cache_timeout == 7


def test_an_empty_variable_does_not_undo_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("GITLAB_MANDATORY_TOPICS=mlflow\n")
    settings = Settings.load({**GITLAB, "GITLAB_MANDATORY_TOPICS": ""}, env_file=env_file)
    assert settings.gitlab_mandatory_topics == ("mlflow",)


@pytest.mark.parametrize("name", ["VISITOR_ACCES", "visitor_access", "TRUSTED_HOP", "SECRETKEY"])
def test_a_misspelt_name_in_the_file_is_refused(tmp_path: Path, name: str) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(f"{name}=x\nAWS_REGION=y\nMLFLOW_S3_ENDPOINT_URL=z\n")
    with pytest.raises(SettingsError, match=name):
        Settings.load(GITLAB, env_file=env_file)
    env_file.write_text("AWS_REGION=y\nMLFLOW_S3_ENDPOINT_URL=z\nMLFLOW_TRACKING_URI=u\n")
    assert Settings.load(GITLAB, env_file=env_file).gitlab_url


def test_a_secret_in_the_file_is_taken_as_it_stands(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("SECRET_KEY=0123456789abcdef0123456789${HOME}\n")
    secret = Settings.load(GITLAB, env_file=env_file).secret_key
    assert secret.get_secret_value().endswith("${HOME}")


def test_a_missing_file_is_no_error(tmp_path: Path) -> None:
    assert Settings.load(GITLAB, env_file=tmp_path / "absent").gitlab_url


def test_an_empty_value_is_unset() -> None:
    assert load(**GITLAB, SHARINGHUB_URL="", STALE_IF_ERROR="").stale_if_error == 600


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ["GITLAB_URL", "SHARINGHUB_URL"]),
        ({**GITLAB, "SHARINGHUB_URL": "https://hub.example.com"}, ["GITLAB_URL", "SHARINGHUB_URL"]),
        ({"GITLAB_URL": "gitlab.example.com"}, ["GITLAB_URL", "https://"]),
        ({"GITLAB_URL": "ftp://gitlab.example.com"}, ["GITLAB_URL"]),
        ({"GITLAB_URL": "https://u:p@gitlab.example.com"}, ["GITLAB_URL"]),
        ({"GITLAB_URL": "https://gitlab.example.com/?x"}, ["GITLAB_URL"]),
        ({"GITLAB_URL": "https://:p@gitlab.example.com"}, ["GITLAB_URL"]),
        ({"GITLAB_URL": "https://gitlab.example.com:99999"}, ["ort"]),
        ({"GITLAB_URL": "https://gitlab.example.com:0"}, ["GITLAB_URL"]),
        ({**GITLAB, "PUBLIC_URL": "https://mlflow.example.com/a/../b"}, ["PUBLIC_URL"]),
        ({**GITLAB, "PUBLIC_URL": "https://mlflow.example.com/a//b"}, ["PUBLIC_URL"]),
        ({**GITLAB, "PUBLIC_URL": "https://mlflow.example.com/a b"}, ["PUBLIC_URL"]),
        ({**GITLAB, "GITLAB_MANDATORY_TOPICS": " , "}, ["GITLAB_MANDATORY_TOPICS"]),
        ({**GITLAB, "GITLAB_MANDATORY_TOPICS_FILE": "/x"}, ["GITLAB_MANDATORY_TOPICS_FILE"]),
        ({**GITLAB, "SECRET_KEY": " " * 40}, ["SECRET_KEY", "guessed"]),
        ({**GITLAB, "MLFLOW_URL": "http://mlflow:5000/base"}, ["MLFLOW_URL"]),
        ({**GITLAB, "SECRET_KEY": "short"}, ["SECRET_KEY", "openssl rand"]),
        ({**GITLAB, "GRANT_KEY": "short"}, ["GRANT_KEY", "openssl rand"]),
        ({**GITLAB, "GITLAB_OAUTH_CLIENT_ID": "x"}, ["GITLAB_OAUTH_CLIENT_SECRET"]),
        ({**GITLAB, "GITLAB_MANDATORY_TOPIC": "x"}, ["GITLAB_MANDATORY_TOPIC", ".env.example"]),
        ({**GITLAB, "SHARINGHUB_TOKEN": "x"}, ["SHARINGHUB_TOKEN"]),
        ({**GITLAB, "EXTAUTHZ_DEBUG": "1"}, ["EXTAUTHZ_DEBUG"]),
        ({**GITLAB, "PROJECT_CACHE_TIMEOUT": "soon"}, ["PROJECT_CACHE_TIMEOUT"]),
        ({**GITLAB, "PROJECT_CACHE_TIMEOUT": "-1"}, ["PROJECT_CACHE_TIMEOUT"]),
        ({**GITLAB, "VISITOR_ACCESS": "write"}, ["VISITOR_ACCESS"]),
        ({**GITLAB, "TRUSTED_HOPS": "99"}, ["TRUSTED_HOPS"]),
        (
            {"SHARINGHUB_URL": "https://hub.example.com", "GITLAB_MANDATORY_TOPICS": "mlflow"},
            ["GITLAB_MANDATORY_TOPICS", "SHARINGHUB_STAC_COLLECTION"],
        ),
        ({**GITLAB, "SHARINGHUB_SESSION_COOKIE": "a=b; c"}, ["SHARINGHUB_SESSION_COOKIE"]),
        *(
            ({**GITLAB, "FRAME_ANCESTORS": value}, ["FRAME_ANCESTORS", "https://"])
            for value in (
                *("*", "https:", "https://*.example.com", "hub.example.com", "'self'", "null"),
                *("https://hub.example.com/ui", "https://a.org; script-src *", "https://a.org?"),
                *("http://hub.example.com", "http://localhost.example.com", "https://u@a.org"),
                *("https://a.org:0", "https://a.org:", "https://-", "ftp://a.org"),
                "https://a.org https://b.org/x",
            )
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line_that_names_it(
    environ: dict[str, str], names: list[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.load(environ)
    message = str(raised.value)
    assert "\n" not in message
    assert all(name in message for name in names)


def test_a_wrong_secret_is_not_quoted() -> None:
    with pytest.raises(SettingsError) as raised:
        load(**GITLAB, SECRET_KEY="hunter2")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["GITLAB_CI", "GITLAB_USER_LOGIN", "GITLAB_SERVICE_HOST", "SHARINGHUB_PORT_80_TCP_ADDR"],
)
def test_names_that_runners_and_kubernetes_set_are_left_alone(name: str) -> None:
    assert load(**GITLAB, **{name: "x"}).gitlab_url


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{SECRET}\n")
    assert load(**GITLAB, SECRET_KEY_FILE=str(path)).secret_key.get_secret_value() == SECRET
    with pytest.raises(SettingsError, match="not both"):
        load(**GITLAB, SECRET_KEY=SECRET, SECRET_KEY_FILE=str(path))
    with pytest.raises(SettingsError, match="SECRET_KEY_FILE cannot be read"):
        load(**GITLAB, SECRET_KEY_FILE=str(tmp_path / "absent"))


def test_the_grant_key_is_derived_unless_set() -> None:
    derived = load(**GITLAB, SECRET_KEY=SECRET).grant_key.get_secret_value()
    assert len(derived) >= 32
    assert derived != SECRET
    assert load(**GITLAB, SECRET_KEY=SECRET).grant_key.get_secret_value() == derived
    own = SECRET[::-1]
    assert load(**GITLAB, SECRET_KEY=SECRET, GRANT_KEY=own).grant_key.get_secret_value() == own


def test_secrets_are_not_shown() -> None:
    settings = load(**GITLAB, SECRET_KEY=SECRET)
    assert SECRET not in repr(settings)
    assert settings.grant_key.get_secret_value() not in repr(settings)


def test_serving_needs_a_secret() -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY"):
        load(**GITLAB).check_for_serving()


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"GITLAB_URL": "http://gitlab.example.com"}, "GITLAB_URL"),
        ({"SHARINGHUB_URL": "http://hub.example.com"}, "SHARINGHUB_URL"),
        ({**GITLAB, "PUBLIC_URL": "http://mlflow.example.com"}, "PUBLIC_URL"),
    ],
    ids=str,
)
def test_serving_refuses_plain_http_that_leaves_the_machine(
    environ: dict[str, str], name: str
) -> None:
    with pytest.raises(SettingsError, match=name):
        load(**environ, SECRET_KEY=SECRET).check_for_serving()
    load(**environ, SECRET_KEY=SECRET, ALLOW_INSECURE_HTTP="true").check_for_serving()


def test_plain_http_on_this_machine_is_fine() -> None:
    local = {"GITLAB_URL": "http://localhost:8080", "PUBLIC_URL": "http://127.0.0.1:5000"}
    load(**local, SECRET_KEY=SECRET).check_for_serving()


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("https://hub.example.com", ("https://hub.example.com",)),
        (
            " https://Hub.example.com/,http://localhost:8080  https://a.org:8443,",
            ("https://hub.example.com", "http://localhost:8080", "https://a.org:8443"),
        ),
        ("http://127.0.0.1:1", ("http://127.0.0.1:1",)),
    ],
)
def test_who_may_show_us_in_a_frame(value: str, origins: tuple[str, ...]) -> None:
    assert load(**GITLAB, FRAME_ANCESTORS=value).framed_by == origins


def test_sharinghub_may_show_us_in_a_frame_unless_others_are_named() -> None:
    hub = {"SHARINGHUB_URL": "http://Hub.example.com:80/sub"}
    assert load(**hub).framed_by == ("http://hub.example.com",)
    assert load(**hub, FRAME_ANCESTORS="https://a.org").framed_by == ("https://a.org",)


def test_what_follows_from_the_urls() -> None:
    settings = load(
        GITLAB_URL="https://gitlab.example.com:8443/git/",
        PUBLIC_URL="https://hub.example.org/mlflow/",
        MLFLOW_URL="http://mlflow:5001",
        GITLAB_MANDATORY_TOPICS=" sharinghub:aimodel, x ",
    )
    assert settings.instance == "gitlab.example.com:8443/git"
    assert settings.site.prefix == "/mlflow"
    assert settings.mlflow_host == "mlflow:5001"
    assert settings.gitlab_mandatory_topics == ("sharinghub:aimodel", "x")
    assert load(**GITLAB, INSTANCE_ID="prod").instance == "prod"
