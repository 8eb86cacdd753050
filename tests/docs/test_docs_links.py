"""Every link between pages leads somewhere, and every page and picture is led to."""

import re
from pathlib import Path
from typing import Final

from tests.docs.guide import GUIDE, PAGES, ROOT, prose

LINK: Final = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitLab and GitHub make them."""
    headings = re.findall(r"(?m)^#+ (.+)$", prose(page))
    return {re.sub(r"[^\w -]", "", each).strip().lower().replace(" ", "-") for each in headings}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    lost = []
    for page in PAGES:
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append((page.name, link))
    assert lost == []


def test_every_page_and_picture_of_the_guide_is_led_to() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert listed == {*GUIDE} - {index}
    shown = {(page.parent / link).resolve() for page in GUIDE for link in links(page)}
    assert {*(ROOT / "docs" / "assets").iterdir()} <= shown


def test_the_readme_leads_to_the_guide() -> None:
    assert "docs/README.md" in links(ROOT / "README.md")
