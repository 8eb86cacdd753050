"""What the local runner decides before it starts anything."""

import io
import re
import socket
import stat
from pathlib import Path

import pytest

from extauthz.edge.settings import SettingsError
from extauthz.local.gitlab.world import demo_world
from extauthz.local.installation import demo_installation, own_installation
from extauthz.local.options import RunOptions
from extauthz.local.preflight import (
    Port,
    PreflightError,
    envoy_binary,
    need_modules,
    need_ports,
)
from extauthz.local.reload import owners
from extauthz.local.secret import kept_secret
from extauthz.local.stack import Stack, foreign
from extauthz.local.terminal import Terminal, readable
from extauthz.local.welcome import demo_text, up_text
from extauthz.plugin import settings as plugin


@pytest.fixture
def options(tmp_path: Path) -> RunOptions:
    return RunOptions(data=tmp_path / "data", env_file=tmp_path / ".env")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"PATH": "/bin"})


class TestSecretKey:
    def test_is_made_once_and_is_ours_alone(self, tmp_path: Path) -> None:
        first = kept_secret(tmp_path / "data")
        key = first.read_text()
        assert len(key.strip()) == 64
        assert stat.S_IMODE(first.stat().st_mode) == 0o600
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
        assert kept_secret(tmp_path / "data").read_text() == key

    def test_that_others_may_read_becomes_ours_alone(self, tmp_path: Path) -> None:
        kept_secret(tmp_path).chmod(0o644)
        assert stat.S_IMODE(kept_secret(tmp_path).stat().st_mode) == 0o600


class TestUp:
    def test_keeps_a_secret_key_when_none_is_set(self, options: RunOptions) -> None:
        options.env_file.write_text("GITLAB_URL=https://gitlab.example.com\nSECRET_KEY=\n")
        first, second = own_installation(options), own_installation(options)
        assert first.settings.grant_key.get_secret_value()
        assert first.settings.grant_key == second.settings.grant_key
        assert first.environ["SECRET_KEY_FILE"] == str(options.data / "secret-key")

    def test_leaves_a_secret_key_that_is_set_where_it_is(self, options: RunOptions) -> None:
        options.env_file.write_text(
            "GITLAB_URL=https://gitlab.example.com\nSECRET_KEY=0123456789abcdef0123456789abcdef"
        )
        installation = own_installation(options)
        assert (
            installation.settings.secret_key.get_secret_value()
            == "0123456789abcdef0123456789abcdef"
        )
        assert not list(options.data.iterdir())
        assert not {"SECRET_KEY", "SECRET_KEY_FILE"} & set(installation.environ)

    def test_keeps_everything_below_the_data_folder(self, options: RunOptions) -> None:
        options.env_file.write_text("GITLAB_URL=https://gitlab.example.com")
        settings = own_installation(options).settings
        assert settings.mlflow_backend_store_uri == f"sqlite:///{options.data}/mlflow.db"
        assert settings.mlflow_artifacts_destination == str(options.data / "mlartifacts")

    def test_accepts_a_plain_http_provider(self, options: RunOptions) -> None:
        options.env_file.write_text("GITLAB_URL=http://gitlab.local\n")
        installation = own_installation(options)
        assert installation.settings.insecure_urls() == [("GITLAB_URL", "http://gitlab.local")]
        assert installation.environ["ALLOW_INSECURE_HTTP"] == "true"

    @pytest.mark.parametrize("more", ["", "SHARINGHUB_AUTH_DEFAULT_TOKEN=true\n"])
    def test_starts_with_the_sharinghub_blocks_of_the_predecessor(
        self, options: RunOptions, more: str
    ) -> None:
        options.env_file.write_text(
            "PROJECT_CACHE_TIMEOUT=30\nLOGIN_AUTO_REDIRECT=false\n"
            f"SHARINGHUB_URL=http://sharinghub.example.com\n{more}"
        )
        settings = own_installation(options).settings
        assert settings.instance == "sharinghub.example.com"
        assert settings.insecure_urls() == [("SHARINGHUB_URL", "http://sharinghub.example.com")]
        assert re.search("^SharingHub +http://sharinghub", up_text(settings, options), re.MULTILINE)

    @pytest.mark.parametrize(
        ("given", "framed_by"),
        [
            ("GITLAB_URL=https://gitlab.example.com\n", ""),
            ("SHARINGHUB_URL=http://SharingHub.example.com/sub\n", "http://sharinghub.example.com"),
            (
                "GITLAB_URL=https://gitlab.example.com\nFRAME_ANCESTORS=https://a.org https://b.org\n",
                "https://a.org,https://b.org",
            ),
        ],
    )
    def test_tells_mlflow_of_other_origins(
        self, options: RunOptions, given: str, framed_by: str
    ) -> None:
        options.env_file.write_text(f"{given}PUBLIC_URL=https://MLflow.example.com:443/sub\n")
        installation = own_installation(options)
        environ = Stack(installation, options, Path("envoy"), Path("run")).mlflow().environ
        assert environ["FRAME_ANCESTORS"] == framed_by
        assert plugin.Settings.load(environ).framed_by == tuple(filter(None, framed_by.split(",")))
        # As browsers write it.
        assert environ["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://mlflow.example.com"

    def test_runs_mlflow_on_this_machine(self, options: RunOptions) -> None:
        options.env_file.write_text(
            "GITLAB_URL=https://gitlab.example.com\nMLFLOW_URL=http://mlflow.internal:5001\n"
        )
        with pytest.raises(SettingsError, match="MLFLOW_URL must be like"):
            own_installation(options)


class TestDemo:
    def test_ignores_the_environment_and_env_file(
        self, options: RunOptions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options.env_file.write_text("SHARINGHUB_URL=https://sharinghub.example.com\n")
        monkeypatch.setattr(
            "os.environ",
            {"GITLAB_URL": "https://real", "SECRET_KEY": "0123456789abcdef0123456789abcdef"},
        )
        installation = demo_installation(options)
        assert installation.settings.gitlab_url == "http://127.0.0.1:8080"
        assert "SECRET_KEY" not in installation.environ

    def test_has_data_of_its_own(self, options: RunOptions) -> None:
        settings = demo_installation(options).settings
        assert settings.mlflow_backend_store_uri == f"sqlite:///{options.data}/demo/mlflow.db"

    def test_shows_every_user_and_token(self, options: RunOptions) -> None:
        _, users = demo_world()
        text = demo_text(demo_installation(options).settings, options, users)
        for user in users:
            assert f"{user.token} " in text
            assert user.note in text
        assert max(map(len, text.splitlines())) < 200


def test_mlflow_gets_none_of_our_settings_and_none_of_its_clients() -> None:
    given = {
        "PATH": "/bin",
        "MLFLOW_S3_ENDPOINT_URL": "https://s3",
        "SECRET_KEY": "s",
        "GITLAB_OAUTH_CLIENT_SECRET_FILE": "/run/secret",
        "MLFLOW_TRACKING_TOKEN": "t",
        "MLFLOW_TRACKING_URI": "http://localhost:5000",
    }
    assert foreign(given) == {"PATH": "/bin", "MLFLOW_S3_ENDPOINT_URL": "https://s3"}


class TestPreflight:
    def test_names_the_port_that_is_taken_and_the_flag_for_another(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            number = server.getsockname()[1]
            with pytest.raises(PreflightError) as refusal:
                need_ports([Port("MLflow", "127.0.0.1", number, "--mlflow-port")])
        assert str(refusal.value) == (
            f"Port {number} for MLflow is not free (Address already in use): "
            "stop what uses it, or choose another with --mlflow-port"
        )

    def test_names_the_package_that_is_missing(self) -> None:
        with pytest.raises(PreflightError, match="The package no_such_module is missing"):
            need_modules(["os", "no_such_module"])

    def test_takes_the_envoy_that_it_is_given(self, tmp_path: Path) -> None:
        binary = tmp_path / "envoy"
        with pytest.raises(PreflightError, match=f"There is no Envoy at {binary}"):
            envoy_binary(binary)
        binary.touch(mode=0o755)
        assert envoy_binary(binary) == binary

    def test_finds_the_envoy_of_the_package(self) -> None:
        assert envoy_binary(None).name == "envoy"


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("edge/check.py", ("edge",)),
        ("edge/envoy_config.py", ("envoy",)),
        ("local/envoy.py", ("envoy",)),
        ("plugin/rules.py", ("mlflow",)),
        ("grant.py", ("mlflow", "edge")),
        ("local/gitlab/rest.py", ("gitlab",)),
        ("local/run.py", ()),
        ("cli.py", ()),
        ("commands/serve.py", ()),
    ],
)
def test_a_changed_file_restarts_the_parts_that_run_it(path: str, parts: tuple[str, ...]) -> None:
    assert owners(Path(path)) == parts


class TestTerminal:
    def test_puts_the_part_before_each_line(self) -> None:
        out = io.StringIO()
        terminal = Terminal(out, ["edge", "mlflow"], colour=False)
        terminal.line("edge", "started")
        terminal.say("done")
        assert out.getvalue() == "edge     | started\nextauthz | done\n"

    def test_colours_the_prefix_alone(self) -> None:
        out = io.StringIO()
        Terminal(out, ["edge"], colour=True).line("edge", "started")
        assert out.getvalue() == "\033[33medge     | \033[0mstarted\n"

    def test_shows_json_as_text(self) -> None:
        line = '{"time": "now", "level": "info", "status": 200, "event": "request.done"}'
        assert readable(line) == "request.done status=200"
        assert readable('{"event": "worker.exited", "level": "error", "code": 1}') == (
            "worker.exited level=error code=1"
        )

    @pytest.mark.parametrize("line", ["", "plain", "{not json", "[1]"])
    def test_shows_anything_else_as_it_is(self, line: str) -> None:
        assert readable(line) == line
