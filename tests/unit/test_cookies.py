"""Cookies as a browser is told of them; what it keeps and sends is RFC 6265's."""

import pytest

from extauthz.edge.cookies import expired, own_cookie, own_name, pairs_in, values_of
from extauthz.edge.site import Site

AT_THE_ROOT = Site.of("https://hub.example.org")
BELOW = Site.of("https://hub.example.org/mlflow")
PLAIN = Site.of("http://hub.example.org")


@pytest.mark.parametrize(
    ("site", "name"),
    [
        (AT_THE_ROOT, "__Host-session"),
        (BELOW, "session"),
        (PLAIN, "session"),
        (Site.of("http://hub.example.org/mlflow"), "session"),
    ],
)
def test_only_over_https_at_the_root_a_sibling_cannot_plant_ours(site: Site, name: str) -> None:
    """Threat 59; browsers refuse the prefix with any other path, or without Secure."""
    assert own_name("session", site) == name


@pytest.mark.parametrize(
    ("site", "cookie"),
    [
        (
            AT_THE_ROOT,
            "__Host-session=sealed; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure",
        ),
        (BELOW, "session=sealed; Path=/mlflow/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"),
        (PLAIN, "session=sealed; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"),
    ],
)
def test_a_cookie_of_ours_is_for_nobody_else(site: Site, cookie: str) -> None:
    assert own_cookie("session", "sealed", site, seconds=60.9) == cookie


def test_every_pair_is_read_in_its_order_and_with_what_is_in_it() -> None:
    header = "a=1; b = x=y\t;lone; a=; =nameless"
    assert list(pairs_in(header)) == [("a", "1"), ("b", "x=y"), ("a", ""), ("", "nameless")]
    assert values_of("a", header) == ["1", ""]
    assert values_of("lone", header) == []


def test_a_cookie_is_ended_for_the_host_and_for_each_domain_above_it() -> None:
    """A cookie for the top level itself does not exist: browsers refuse it."""
    assert list(expired("x", Site.of("https://mlflow.hub.example.org"))) == [
        "x=; Path=/; Max-Age=0",
        "x=; Path=/; Max-Age=0; Domain=mlflow.hub.example.org",
        "x=; Path=/; Max-Age=0; Domain=hub.example.org",
        "x=; Path=/; Max-Age=0; Domain=example.org",
    ]


def test_a_cookie_is_ended_at_the_paths_it_can_have_been_set_for() -> None:
    """RFC 6265, 5.1.4: with and without the slash are two paths."""
    local = Site.of("http://localhost")
    assert list(expired("x", local, "/a/b/c")) == [
        "x=; Path=/; Max-Age=0",
        "x=; Path=/a; Max-Age=0",
        "x=; Path=/a/; Max-Age=0",
        "x=; Path=/a/b; Max-Age=0",
        "x=; Path=/a/b/; Max-Age=0",
    ]


def test_a_long_path_does_not_make_the_answer_larger_than_envoy_lets_it_be() -> None:
    local = Site.of("http://localhost")
    ends = list(expired("x", local, "/a/b/c/d/e/f"))
    assert len(ends) == 1 + 2 * 4
    assert ends[-1] == "x=; Path=/a/b/c/d/; Max-Age=0"
