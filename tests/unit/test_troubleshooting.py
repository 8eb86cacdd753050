"""The troubleshooting page has every refusal that the code can answer, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()
KINDS = {
    *("BadRequest", "Unauthenticated", "Forbidden", "NotFound", "MethodNotAllowed"),
    *("TooManyProjects", "TooManyAttempts", "Unavailable", "Busy", "Throttled", "Outage", "Down"),
    *("Skipped", "Malformed", "Denied", "Missing", "Ambiguous", "Unsupported"),
}
_REST = re.compile(r"(?<=[.?]) .*\Z")


def said(node: ast.expr) -> str:
    """Return the text of a literal, with `…` for what differs; nothing for a name."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(said(each) or "…" for each in values)
        case _:
            return ""


def messages() -> Iterator[str]:
    for half in ("edge", "plugin"):
        for module in (ROOT / "extauthz" / half).glob("*.py"):
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Call(func=ast.Name(id=kind), args=[text, *_]) if kind in KINDS:
                        if found := said(text):
                            yield found


def listed() -> set[str]:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return {row.split(" | ")[0].removeprefix("| ").strip() for row in rows} - {"message"}


def test_every_refusal_is_explained() -> None:
    known = listed()
    missing = {text for text in messages() if not {text, _REST.sub("", text)} & known}
    assert not missing


def test_nothing_is_explained_that_nobody_says() -> None:
    texts = {*messages()}
    known = texts | {_REST.sub("", text) for text in texts}
    source = "".join(path.read_text() for path in (ROOT / "extauthz/edge").glob("*.py"))
    # Some are kept in a constant.
    assert {text for text in listed() - known if text.split(". ")[0] not in source} == set()
