from pathlib import Path

import pytest
from pydantic import SecretStr

from extauthz.grant import GrantKey
from extauthz.plugin.app import check_started
from extauthz.plugin.command import LINE, command, environment
from extauthz.plugin.settings import Settings, SettingsError

KEY = "k" * 40
OLD = "o" * 40
STARTED = {
    "MLFLOW_ENABLE_WORKSPACES": "true",
    "MLFLOW_WORKSPACE_STORE_URI": "extauthz://",
    "_MLFLOW_SGI_NAME": "uvicorn",
}


def test_keys_and_instance_come_from_the_environment() -> None:
    settings = Settings.load(
        {"GRANT_KEY": KEY, "GRANT_KEY_PREVIOUS": OLD, "INSTANCE_ID": "gitlab.test"}
    )

    assert [key.id for key in settings.keys] == [GrantKey(SecretStr(k)).id for k in (KEY, OLD)]
    assert settings.instance == "gitlab.test"
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("https://hub.test, https://b.test:8443", ("https://hub.test", "https://b.test:8443")),
        # As `up` passes on of a SharingHub that has no https.
        ("http://hub.test", ("http://hub.test",)),
    ],
)
def test_who_may_show_mlflow_in_a_frame(value: str, origins: tuple[str, ...]) -> None:
    environ = {"GRANT_KEY": KEY, "INSTANCE_ID": "gitlab.test", "FRAME_ANCESTORS": value}

    assert Settings.load(environ).framed_by == origins


def test_each_may_come_from_a_file(tmp_path: Path) -> None:
    names = {"GRANT_KEY": KEY, "GRANT_KEY_PREVIOUS": OLD, "INSTANCE_ID": "gitlab.test"}
    for name, value in names.items():
        (tmp_path / name).write_text(f"{value}\n")

    from_files = Settings.load({f"{name}_FILE": str(tmp_path / name) for name in names})

    assert [key.id for key in from_files.keys] == [key.id for key in Settings.load(names).keys]
    assert from_files.instance == "gitlab.test"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "Set GRANT_KEY"),
        ({"GRANT_KEY": KEY}, "Set INSTANCE_ID"),
        ({"INSTANCE_ID": "gitlab.test"}, "Set GRANT_KEY"),
        ({"GRANT_KEY": "short", "INSTANCE_ID": "i"}, "GRANT_KEY is shorter"),
        (
            {"GRANT_KEY": KEY, "GRANT_KEY_PREVIOUS": "short", "INSTANCE_ID": "i"},
            "GRANT_KEY_PREVIOUS is shorter",
        ),
        ({"GRANT_KEY": KEY, "GRANT_KEY_FILE": "/x", "INSTANCE_ID": "i"}, "not both"),
        (
            {"GRANT_KEY": KEY, "INSTANCE_ID": "i", "FRAME_ANCESTORS": "*"},
            "FRAME_ANCESTORS must be origins",
        ),
        (
            {"GRANT_KEY_FILE": "/nowhere/at/all", "INSTANCE_ID": "i"},
            "GRANT_KEY_FILE cannot be read",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        Settings.load(environ)
    assert "\n" not in str(refused.value)


def test_a_key_that_is_no_text_is_refused_without_being_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff" * 40)
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load({"GRANT_KEY_FILE": str(tmp_path / "key"), "INSTANCE_ID": "i"})


def test_mlflow_started_as_written_is_accepted() -> None:
    check_started(STARTED)


@pytest.mark.parametrize(
    "changed",
    [
        {"MLFLOW_ENABLE_WORKSPACES": "false"},
        {"MLFLOW_ENABLE_WORKSPACES": ""},
        {"MLFLOW_WORKSPACE_STORE_URI": "sqlite:///x.db"},
        {"MLFLOW_WORKSPACE_STORE_URI": ""},
        {"_MLFLOW_SGI_NAME": "gunicorn"},
        {"_MLFLOW_SGI_NAME": "waitress"},
        {"_MLFLOW_SGI_NAME": ""},
    ],
)
def test_mlflow_started_otherwise_is_told_the_line(changed: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        check_started(STARTED | changed)
    assert str(refused.value).endswith(LINE)


def test_the_command_is_the_line_with_where_things_are() -> None:
    argv = command(host="127.0.0.1", port=5001)

    plain = LINE.replace("'", "").split(" ")
    assert [part for part in " ".join(argv).split(" ") if part in plain] == plain
    assert argv[argv.index("--allowed-hosts") + 1] == "127.0.0.1:5001"


def _environment(*, previous: str = "") -> dict[str, str]:
    return environment(
        grant_key=SecretStr(KEY),
        instance="gitlab.test",
        backend_store_uri="sqlite:///m.db",
        artifacts_destination="a",
        grant_key_previous=SecretStr(previous),
        public_url="https://host.example:8443/mlflow",
        framed_by=("https://hub.example", "https://b.example"),
    )


def test_the_environment_opens_grants_and_switches_off_what_no_grant_covers() -> None:
    environ = _environment(previous=OLD)

    assert len(Settings.load(environ).keys) == 2
    assert Settings.load(environ).framed_by == ("https://hub.example", "https://b.example")
    assert environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://host.example:8443"
    assert environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environ["MLFLOW_SQL_TRACE_ROLLUPS_ENABLED"] == "false"
    assert "GRANT_KEY_PREVIOUS" not in _environment()
