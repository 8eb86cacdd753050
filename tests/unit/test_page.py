"""What a page shows is read back by a parser, for what matters is what a browser makes of it."""

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge import refusals
from extauthz.edge.page import (
    SECURITY_POLICY,
    Link,
    projects_page,
    refusal_page,
    refusal_policy,
    sign_out_page,
    signed_out_page,
)

# What a page is given for the parameter of this name.
Say = Callable[[str], str]

ELEMENTS = {"html", "head", "meta", "title", "style", "body", "header", "main"} | {
    *("h1", "p", "div", "ul", "li", "a", "form", "button", "bdi", "span", "code", "pre", "wbr")
}
ATTRIBUTES = {"lang", "charset", "name", "content", "class", "role"} | {
    *("href", "rel", "target", "method", "action")
}
VOID = {"meta", "wbr"}


class Parsed(HTMLParser):
    """A page as a browser understands it; asserts that every element is closed in its place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def targets(self) -> list[str | None]:
        named = [
            attributes.get("href", attributes.get("action")) for _, attributes in self.elements
        ]
        return [target for target in named if target is not None]

    def text(self, inside: str = "") -> str:
        return "".join(text for tag, text in self.texts if inside in ("", tag))


def refused(say: Say) -> str:
    class Odd(refusals.NotFound):
        title = say("title")

    link = Link(say("text"), say("address"))
    return refusal_page(Odd(say("message")), request_id=say("request"), link=link)


def listed(say: Say) -> str:
    return projects_page(
        name=say("name"),
        projects=[Link(say("a"), say("at a")), Link(say("b"), say("at b"))],
        everything=Link(say("all"), say("at all")),
        sign_out=say("out"),
        example="unused",
        more=say("more"),
    )


def empty(say: Say) -> str:
    return projects_page(
        name=say("name"),
        projects=[],
        everything=Link("unused", "unused"),
        sign_out=say("out"),
        example=say("example"),
    )


def asked(say: Say) -> str:
    return sign_out_page(name=say("name"), action=say("action"), home=say("home"))


def signed_out(say: Say) -> str:
    return signed_out_page(
        sign_in=Link(say("in"), say("at in")), provider=Link(say("hub"), say("at hub"))
    )


every_page = pytest.mark.parametrize("page", [refused, listed, empty, asked, signed_out])


@every_page
@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onclick='alert(1)",
        "</title></style></main><h1>",
        'javascript:alert(1)" autofocus onfocus="alert(1)',
        "&lt;script&gt; &amp; &#x27;",
        "acme/<b>/&/'vision'",
        "<!--",
        "$title {title} %s",
    ],
)
def test_every_value_is_shown_as_it_is_and_is_never_markup(
    page: Callable[[Say], str], evil: str
) -> None:
    said = []

    def say(parameter: str) -> str:
        said.append(f"{evil}{parameter}")
        return said[-1]

    html = page(say)
    parsed = Parsed(html)
    shown = parsed.text()
    assert "<script" not in html
    assert parsed.tags.count("h1") == 1
    for value in said:
        assert (value in shown) != (value in parsed.targets)


@every_page
@given(text=st.text(min_size=1))
def test_no_text_changes_what_a_page_is_made_of(page: Callable[[Say], str], text: str) -> None:
    def made_of(parsed: Parsed) -> list[tuple[str, list[str]]]:
        # A path has more places where a line may end than another.
        return [(tag, list(names)) for tag, names in parsed.elements if tag != "wbr"]

    plain, told = Parsed(page(lambda _: "x")), Parsed(page(lambda _: text))
    assert made_of(told) == made_of(plain)
    assert told.targets == [text] * len(plain.targets)
    assert plain.text("style") == told.text("style")


@every_page
def test_a_page_is_a_whole_document_of_known_parts(page: Callable[[Say], str]) -> None:
    html = page(str)
    parsed = Parsed(html)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    for once in ("title", "style", "main", "h1"):
        assert parsed.tags.count(once) == 1
    # So there is no script, no style attribute, no handler, and nothing to load.
    assert set(parsed.tags) <= ELEMENTS
    assert {name for _, attributes in parsed.elements for name in attributes} <= ATTRIBUTES
    assert not re.search(r"url\(|@import|http", parsed.text("style"))
    assert parsed.text("title") == f"{parsed.text('h1')} · MLflow"
    meta = {each.get("name"): each.get("content") for tag, each in parsed.elements if tag == "meta"}
    assert meta["viewport"] == "width=device-width, initial-scale=1"
    assert meta["color-scheme"] == "light dark"
    assert meta["robots"] == "noindex"


@every_page
def test_the_policy_allows_the_style_of_the_page_and_nothing_else(
    page: Callable[[Say], str],
) -> None:
    digest = sha256(Parsed(page(str)).text("style").encode()).digest()
    assert SECURITY_POLICY.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(digest).decode()}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]


def test_only_a_refusal_is_shown_in_a_frame_and_only_by_those_who_may() -> None:
    hub, lab = "https://hub.example.org", "https://lab.example.org"
    assert refusal_policy(()) == SECURITY_POLICY
    shown = refusal_policy([hub, lab]).split("; ")
    assert shown == [*SECURITY_POLICY.split("; ")[:-1], f"frame-ancestors {hub} {lab}"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_legible_in_light_and_in_dark(scheme: str) -> None:
    light, dark = Parsed(refused(str)).text("style").split("@media (prefers-color-scheme: dark)")
    colour = dict(re.findall(r"--([\w-]+): #(\w{6})", light if scheme == "light" else dark))
    text_on = [
        *((text, back) for text in ("text", "quiet", "accent") for back in ("page", "card")),
        *((text, "raised") for text in ("text", "quiet", "pressed")),
        *(("on-accent", back) for back in ("accent", "pressed")),
    ]
    for text, back in text_on:
        assert contrast(colour[text], colour[back]) >= 4.5, (text, back)  # WCAG 2.2, 1.4.3
    for back in ("page", "card"):
        assert contrast(colour["edge"], colour[back]) >= 3, back  # WCAG 2.2, 1.4.11


def test_a_refusal_says_what_happened_and_names_the_request() -> None:
    parsed = Parsed(refusal_page(refusals.NotFound("No such project."), request_id="17"))
    assert parsed.text("h1") == refusals.NotFound.title
    assert "No such project." in parsed.text("p")
    assert "Status 404 · Request 17" in parsed.text("p")
    assert parsed.targets == []
    assert "Request unknown" in refusal_page(refusals.NotFound("x"), request_id="")


def test_a_refusal_shows_the_way_on() -> None:
    link = Link("Sign in with GitLab", "/auth/login?to=%2F&x=1")
    parsed = Parsed(refusal_page(refusals.Unauthenticated("x"), request_id="17", link=link))
    assert parsed.text("a") == "Sign in with GitLab"
    assert parsed.targets == ["/auth/login?to=%2F&x=1"]
    # Out of the frame of another site: no login is shown in one.
    (way,) = [attributes for tag, attributes in parsed.elements if tag == "a"]
    assert way["target"] == "_top"


@pytest.mark.parametrize("count", [1, 2, 200])
def test_projects_are_listed_and_offered_together_if_they_are_several(count: int) -> None:
    paths = [f"acme/vision/detector-{number}" for number in range(count)]
    parsed = Parsed(
        projects_page(
            name="ann",
            projects=[Link(path, f"/{path}/tracking/") for path in paths],
            everything=Link("All projects together", "/"),
            sign_out="/auth/logout",
            example="https://mlflow.example.org/<group>/<project>/tracking",
        )
    )
    together = ["/"] if count > 1 else []
    views = [f"/{path}/tracking/" for path in paths]
    assert parsed.targets == ["/auth/logout", *together, *views]
    assert parsed.tags.count("li") == count
    assert all(path in parsed.text() for path in paths)
    assert "/tracking" not in parsed.text()


def test_whoever_has_no_project_is_told_how_to_begin() -> None:
    parsed = Parsed(empty(lambda name: "https://a.org/<group>/tracking" if name != "out" else "/"))
    assert "No project that you can read has anything in MLflow yet." in parsed.text("p")
    assert parsed.text("pre") == "https://a.org/<group>/tracking"
    assert parsed.targets == ["/"]


@pytest.mark.parametrize("page", [listed, empty, asked])
def test_only_a_form_signs_out_so_no_link_of_another_site_can(page: Callable[[Say], str]) -> None:
    parsed = Parsed(page(str))
    forms = [attributes for tag, attributes in parsed.elements if tag == "form"]
    assert [form["method"] for form in forms] == ["post"]
    assert parsed.text("button") == "Sign out"
    assert parsed.text("bdi") == "name"


def test_the_provider_is_not_told_where_somebody_comes_from() -> None:
    parsed = Parsed(signed_out(str))
    links = [attributes for tag, attributes in parsed.elements if tag == "a"]
    assert links == [{"href": "at in"}, {"href": "at hub", "rel": "noreferrer"}]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio as WCAG 2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [value / 255 for value in bytes.fromhex(colour)]
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
