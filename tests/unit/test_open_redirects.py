"""Open redirects (threat 56, CWE-601): whatever a target looks like, a login leads back to us.

The corpus is our own, made by combining tricks. Every address that comes of an entry is read twice,
by urllib and as browsers read it, and both must find it on our origin and below our prefix.
"""

import json
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from extauthz.edge.answers import Deny, Found, ToPages
from extauthz.edge.gitlab_login import GitLabLogin, login_address
from extauthz.edge.handshake import Handshakes
from extauthz.edge.pages import Pages
from extauthz.edge.refusals import NotFound, Refusal, Unauthenticated
from extauthz.edge.request import Request
from extauthz.edge.scope import Page, scope_of
from extauthz.edge.seal import Seal
from extauthz.edge.site import Site
from extauthz.edge.wanted import own_address, project_address

LINES = (Path(__file__).parent / "open_redirects.txt").read_text().splitlines()
CORPUS: list[str] = [json.loads(line) for line in LINES if not line.startswith("#")]
SITES = {
    url: Site.of(url)
    for url in (
        "http://localhost:5000",
        "http://localhost:5000/mlflow",
        "http://mlflow.example.org",
        "https://mlflow.example.org",
        "https://mlflow.example.org/mlflow",
        "https://mlflow.example.org:8443",
        "https://mlflow.example.org:8443/a/b",
        "https://[2001:db8::1]:8443/mlflow",
    )
}
NAVIGATION = {"accept": "text/html", "sec-fetch-mode": "navigate"}
SEAL = Seal([SecretStr("a key for tests that is long enough")])
# What an address may hold; a browser reads none of it as something else.
PRINTABLE = re.compile("[\x21-\x7e]+")
PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
PIECES = (
    *("/", "\\", "//", "/\\", "%2f", "%5c", "%252f", "%09", "%00", "%0d%0a", ".", "..", "%2e", ";"),
    *("?", "#", "@", ":", "&", "=", "\t", "\r\n", "\0", " ", "\u2215", "\u3002", "\ud800", "é"),
    *("a", "b", "a/b", "tracking", "/tracking/", "/a/b/tracking/", "/a/b/tracking", "mlflow"),
    *("/mlflow", "auth", "/auth/login", "return_to=", "static-files", "api/2.0/", "graphql"),
    *("https:", "http:", "javascript:", "data:", "evil.example", "mlflow.example.org", ":8443"),
    "/api/2.0/mlflow-artifacts/artifacts/",
)
targets = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.sampled_from(CORPUS),
    st.text(max_size=60),
    st.text(string.printable, max_size=60).map("/a/b/tracking/".__add__),
    st.text(string.printable, max_size=60).map("/mlflow/?".__add__),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an address leads; `origin` is only a scheme where that has no servers."""

    origin: str
    path: str = ""


def in_a_browser(address: str, site: Site) -> Place:
    """Return where a browser goes that follows an address on a page of ours.

    After the URL Standard (WHATWG, 4.4), but for how it judges hosts: what it would refuse is here
    a host of its own, and so nothing of ours.
    """
    text = re.sub("[\t\r\n]", "", address.strip("".join(map(chr, range(33)))))
    base = site.origin.partition(":")[0]
    named = re.match("([A-Za-z][A-Za-z0-9+.-]*):", text)
    scheme = named[1].lower() if named else base
    if scheme not in PORTS:
        return Place(f"{scheme}:")
    rest, _, _ = text[named.end() if named else 0 :].partition("#")
    rest = rest.partition("?")[0].replace("\\", "/")
    if rest.startswith("//") or scheme != base:
        authority, slash, path = rest.lstrip("/").partition("/")
        return Place(f"{scheme}://{_host(authority, scheme)}", _resolved(slash + path))
    if not rest.startswith("/"):
        rest = f"{site.prefix}/auth/{rest}"
    return Place(site.origin, _resolved(rest))


def _host(authority: str, scheme: str) -> str:
    host = unquote(authority.rpartition("@")[2]).lower()
    return host.removesuffix(f":{PORTS[scheme]}")


def _resolved(path: str) -> str:
    """Return a path without its dot segments, however they are written."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for number, segment in enumerate(segments):
        plain = segment.lower().replace("%2e", ".")
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
        if plain in (".", "..") and number == len(segments) - 1:
            kept.append("")
    return f"/{'/'.join(kept)}"


def leads_home(address: str, site: Site) -> None:
    """Hold that everybody reads an address as one of ours."""
    assert PRINTABLE.fullmatch(address), ascii(address)
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}" == site.origin
    for path in (parts.path, in_a_browser(address, site).path):
        assert path.startswith(f"{site.prefix}/")
        assert not path.startswith("//")
        assert not path.removeprefix(site.prefix).startswith("//")
    assert in_a_browser(address, site).origin == site.origin
    # Where a server or a script takes the origin away, the rest leads nowhere else either.
    assert in_a_browser(address.removeprefix(site.origin), site).origin == site.origin


def ways(target: str, site: Site) -> Iterator[str]:
    """Yield every address of ours that a target becomes."""
    for address in (own_address(target, site), project_address(target, site)):
        if address is not None:
            yield address


def answers(target: str, site: Site) -> Iterator[str]:
    """Yield where a request for a target leads a browser: to be sent on, or by a link."""
    path, mark, query = target.partition("?")
    request = Request("17", "GET", "evil.example", path, query if mark else None, NAVIGATION)
    for automatic in (True, False):
        login = GitLabLogin(site, automatic=automatic)
        for refusal in (Unauthenticated("x"), NotFound("x")):
            match login.refuse(refusal, request):
                case Found(location):
                    yield location
                case Deny(link=link) if link is not None:
                    yield link.address
        try:
            scope = scope_of(path, prefix=site.prefix)
        except Refusal:
            continue
        if isinstance(scope, Page):
            match login.page(scope, request):
                case Found(location):
                    yield location
                case ToPages(forwarded):
                    assert forwarded == target


def wanted_by(query: str, site: Site) -> str:
    """Return what the pages would remember of a query over a login, as it comes out of a cookie."""
    asked = cast("Any", SimpleNamespace(query=URL(f"/auth/login?{query}", encoded=True).query))
    pages = cast("Any", SimpleNamespace(site=site))
    handshakes = Handshakes(SEAL, site)
    handshake, (cookie,) = handshakes.begin(Pages._target(pages, asked), "")
    found = handshakes.find(handshake.state, cookie.partition(";")[0])
    assert found is not None
    return found.target


def escaped(target: str) -> str:
    return quote(target.encode(errors="surrogatepass"), safe="")


def test_the_corpus_is_large_and_each_entry_is_there_once() -> None:
    assert len(CORPUS) >= 900
    assert len(set(CORPUS)) == len(CORPUS)


def test_the_corpus_would_lead_elsewhere_if_it_were_followed() -> None:
    """Otherwise it would show nothing."""
    site = SITES["https://mlflow.example.org"]
    astray = [each for each in CORPUS if in_a_browser(each, site).origin != site.origin]
    assert len(astray) >= 350
    below = SITES["https://mlflow.example.org/mlflow"]
    outside = [each for each in CORPUS if not in_a_browser(each, below).path.startswith("/mlflow/")]
    assert len(outside) >= 600


@pytest.mark.parametrize(
    ("address", "origin", "path"),
    [
        ("/a/b", "https://ours.example", "/a/b"),
        ("x", "https://ours.example", "/auth/x"),
        ("/a/./%2e%2E/b/..", "https://ours.example", "/"),
        ("//evil.example/x", "https://evil.example", "/x"),
        ("/\\evil.example", "https://evil.example", "/"),
        ("/\t/evil.example", "https://evil.example", "/"),
        (" \0https:\\\\evil.example", "https://evil.example", "/"),
        ("https:evil.example", "https://ours.example", "/auth/evil.example"),
        ("http:evil.example", "http://evil.example", "/"),
        ("////evil.example", "https://evil.example", "/"),
        ("https://ours.example@evil.example:443/", "https://evil.example", "/"),
        ("https://ours.example\\@evil.example", "https://ours.example", "/@evil.example"),
        ("//evil%2eexample", "https://evil.example", "/"),
        ("java\nscript:alert(1)", "javascript:", ""),
        ("/?//evil.example", "https://ours.example", "/"),
    ],
)
def test_the_reader_reads_as_browsers_do(address: str, origin: str, path: str) -> None:
    assert in_a_browser(address, Site.of("https://ours.example")) == Place(origin, path)


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
class TestOfTheCorpus:
    def test_every_address_is_ours(self, site: Site) -> None:
        for entry in CORPUS:
            for target in (entry, f"{site.prefix}{entry}", f"{site.prefix}/a/b/tracking/{entry}"):
                for address in ways(target, site):
                    leads_home(address, site)

    def test_every_answer_of_the_check_leads_to_our_login_and_back(self, site: Site) -> None:
        for entry in CORPUS:
            for target in (entry, f"{site.prefix}{entry}", f"{site.prefix}/?{entry}"):
                for address in answers(target, site):
                    leads_home(address, site)
                    for back in parse_qs(urlsplit(address).query).get("return_to", []):
                        leads_home(f"{site.origin}{back}", site)
                        assert own_address(back, site) == f"{site.origin}{back}"

    def test_every_login_leads_back_to_us(self, site: Site) -> None:
        for entry in CORPUS:
            for name in ("return_to", "project"):
                for query in (f"{name}={escaped(entry)}", f"{name}={escaped(site.prefix + entry)}"):
                    leads_home(wanted_by(query, site), site)
        assert wanted_by("", site) == f"{site.origin}{site.prefix}/auth/"


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_what_is_ours_is_not_refused(site: Site) -> None:
    """Otherwise all of the above could be had by refusing everything."""
    for inside in ("/", "/a/b/tracking/", "/a/b/c/tracking/?x=//y#z", "/graphql?", "/?a=b&c=%2F"):
        target = f"{site.prefix}{inside}"
        assert own_address(target, site) == f"{site.origin}{target}"
        assert wanted_by(f"return_to={escaped(target)}", site) == f"{site.origin}{target}"
        way = login_address(site, f"{site.origin}{target}")
        assert parse_qs(urlsplit(way).query) == {"return_to": [target]}
    assert project_address("a/b", site) == f"{site.origin}{site.prefix}/a/b/tracking/"
    assert own_address("/nothing", site) is None
    if site.prefix:
        assert own_address("/", site) is None
        assert own_address("/a/b/tracking/", site) is None


@given(targets, st.sampled_from(sorted(SITES)))
@example("/a/b/tracking/?\\", "https://mlflow.example.org")
@example(
    "/mlflow/a/b/tracking/api/2.0/mlflow-artifacts/artifacts/%3f%23", "http://localhost:5000/mlflow"
)
def test_no_text_leads_elsewhere(target: str, url: str) -> None:
    site = SITES[url]
    for each in (target, f"{site.prefix}{target}"):
        for address in (*ways(each, site), *answers(each, site)):
            leads_home(address, site)
        for name in ("return_to", "project"):
            leads_home(wanted_by(f"{name}={escaped(each)}", site), site)


@given(st.text(string.printable, max_size=80), st.sampled_from(sorted(SITES)))
def test_no_query_of_a_login_leads_elsewhere(query: str, url: str) -> None:
    """Not even one that is not escaped, or not once."""
    plain = re.sub(r"[\s#]", "", query)
    for each in (plain, f"return_to={plain}", f"project={plain}&return_to={plain}"):
        leads_home(wanted_by(each, SITES[url]), SITES[url])
