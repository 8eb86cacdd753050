"""The example file names every setting, and works as it stands."""

import re
from pathlib import Path

from extauthz.edge.settings import Settings

FILE = Path(__file__).parents[2] / ".env.example"


def test_it_works_as_it_stands() -> None:
    assert Settings.load({}, env_file=FILE).gitlab_url == "https://gitlab.example.com"


def test_it_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^#?([A-Z_]+)=", FILE.read_text(), flags=re.MULTILINE)
    assert sorted(named) == sorted(name.upper() for name in Settings.model_fields)


def test_the_defaults_that_it_shows_are_the_defaults(tmp_path: Path) -> None:
    uncommented = tmp_path / ".env"
    lines = re.findall(r"^#?([A-Z_]+=.*)$", FILE.read_text(), flags=re.MULTILINE)
    uncommented.write_text("\n".join(line for line in lines if "SHARINGHUB_URL" not in line))
    assert Settings.load({}, env_file=uncommented) == Settings.load({}, env_file=FILE)
