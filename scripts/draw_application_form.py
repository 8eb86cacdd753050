"""Draw how to fill in GitLab's form for an application, into docs/assets."""  # noqa: INP001 - a script, not a package

# A drawing of our own: the names and the order of the fields are GitLab's, the looks are not. Needs
# Chromium (apt-get install chromium fonts-dejavu); run it as a module, from the root.

import shutil
import sys
from html import escape
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from extauthz.edge.settings import Settings

PICTURE: Final = Path(__file__).parents[1] / "docs" / "assets" / "configure-application.png"
CALLBACKS: Final = (
    "https://mlflow.example.com/auth/authorize",
    "http://localhost:5000/auth/authorize",
)
WANTED: Final = frozenset(Settings.model_fields["gitlab_oauth_scopes"].default.split())
# Those of GitLab's that could be mistaken for ours; it has more.
SCOPES: Final = ("api", "read_api", "read_user", "read_repository", "openid", "profile", "email")
_FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
_STYLE: Final = """
* { box-sizing: border-box }
body { margin: 0; padding: 24px; background: #fff; color: #222; width: 860px;
       font: 15px/1.45 "DejaVu Sans", sans-serif }
main { border: 2px dashed #8a8a8a; border-radius: 10px; padding: 24px 28px 20px }
h1 { font-size: 20px; margin: 0 0 18px }
.row { display: grid; grid-template-columns: 1fr 250px; gap: 26px; margin-bottom: 18px }
b { display: block; margin-bottom: 5px }
.field { border: 1px solid #777; border-radius: 4px; padding: 7px 10px;
         font: 14px/1.6 "DejaVu Sans Mono", monospace; white-space: pre-line }
.note { border-left: 3px solid #1f6f6f; padding-left: 10px; color: #1f5454; font-size: 13px;
        align-self: center }
.box { display: inline-block; width: 17px; height: 17px; border: 1px solid #555; border-radius: 3px;
       margin-right: 9px; text-align: center; font-size: 13px; line-height: 15px;
       vertical-align: -2px }
.ticked { background: #1f6f6f; border-color: #1f6f6f; color: #fff }
.choice { margin: 2px 0; font-family: "DejaVu Sans Mono", monospace; font-size: 14px }
.unticked { color: #777 }
.button { display: inline-block; border: 1px solid #1f6f6f; border-radius: 4px; padding: 6px 14px;
          font-weight: bold; color: #1f5454 }
footer { color: #666; font-size: 12px; margin-top: 12px }
"""


def choice(name: str, *, ticked: bool) -> str:
    """Return a box with its name."""
    box = '<span class="box ticked">✓</span>' if ticked else '<span class="box">&nbsp;</span>'
    return f'<div class="choice{"" if ticked else " unticked"}">{box}{escape(name)}</div>'


def row(label: str, content: str, note: str) -> str:
    """Return a field of the form, and beside it what to know."""
    return (
        f'<div class="row"><div><b>{label}</b>{content}</div><div class="note">{note}</div></div>'
    )


def field(text: str) -> str:
    """Return a text field, filled in."""
    return f'<div class="field">{escape(text)}</div>'


def form() -> str:
    """Return the page."""
    scopes = "".join(choice(name, ticked=name in WANTED) for name in SCOPES)
    rows = (
        row("Name", field("MLflow"), "People read it when they allow it to sign them in."),
        row(
            "Redirect URI",
            field("\n".join(CALLBACKS)),
            "One a line. The first: PUBLIC_URL and /auth/authorize. The second: only to try it on "
            "your own machine.",
        ),
        row(
            "Confidential",
            choice("Confidential", ticked=True),
            "Yes: the edge keeps the secret.",
        ),
        row(
            "Scopes",
            scopes,
            "These five and no other. GitLab's own list is longer: leave the rest unticked.",
        ),
    )
    return (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><main>'
        f'<h1>Add new application</h1>{"".join(rows)}<span class="button">Save application</span>'
        "</main><footer>A drawing, not a screenshot of GitLab: the fields have GitLab's names. "
        "GitLab then shows Application ID and Secret.</footer>"
    )


def main() -> int:
    """Draw the picture; returns the exit code."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("draw_application_form: apt-get install chromium\n")
        return 1
    PICTURE.parent.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = browser.new_page(viewport={"width": 860, "height": 600})
        page.set_content(form())
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
