"""What Envoy does with each kind of answer was measured; these hold us to the safe ones."""

import json

import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOption
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOptionHeaderAppendAction as Append
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge import refusals
from extauthz.edge.answers import Allow, Decision, Deny, Found, Moved, ToPages, encode
from extauthz.edge.page import Link
from extauthz.grant import HEADER
from extauthz.headers import REMOVED

LEAVES = [
    refusals.BadRequest,
    refusals.Unauthenticated,
    refusals.Forbidden,
    refusals.NotFound,
    refusals.MethodNotAllowed,
    refusals.TooManyProjects,
    refusals.TooManyAttempts,
    refusals.Unavailable,
]
denials = st.builds(lambda leaf, message: leaf(message), st.sampled_from(LEAVES), st.text())
decisions = st.one_of(
    st.builds(Allow, grant=st.text(min_size=1), target=st.text().map("/".__add__)),
    st.builds(ToPages, grant=st.text(min_size=1), target=st.text().map("/".__add__)),
    st.builds(Deny, denials, page=st.booleans(), request_id=st.text()),
    st.builds(Moved, st.text().map("/".__add__)),
    st.builds(Found, st.text().map("https://".__add__), st.tuples(st.text())),
)


def read(decision: Decision) -> CheckResponse:
    return CheckResponse.parse(encode(decision))


def headers_of(answer: CheckResponse) -> dict[str, str]:
    part = answer.ok_response or answer.denied_response
    assert part is not None
    options = [option for option in part.headers if option.header]
    options = [option for option in options if _name(option) != "set-cookie"]
    assert all(option.append_action is Append.OVERWRITE_IF_EXISTS_OR_ADD for option in options)
    return {option.header.key: option.header.value for option in options if option.header}


@given(decisions)
def test_no_answer_allows_by_accident(decision: Decision) -> None:
    """Threats 1 to 3."""
    answer = read(decision)
    assert encode(decision) != b""
    assert answer.status is not None
    assert (answer.status.code == 0) is isinstance(decision, Allow | ToPages)
    if isinstance(decision, Allow | ToPages):
        assert answer.ok_response is not None
        assert answer.denied_response is None
        assert headers_of(answer) == {HEADER: decision.grant, ":path": decision.target}
    else:
        assert answer.ok_response is None
        assert answer.denied_response is not None
        assert answer.denied_response.status is not None
        assert 300 <= answer.denied_response.status.code < 600


def test_an_allowed_request_loses_every_credential_but_never_the_grant() -> None:
    """Threat 20."""
    answer = read(Allow("signed", "/health"))
    assert answer.ok_response is not None
    removed = answer.ok_response.headers_to_remove
    assert set(removed) == set(REMOVED)
    # Envoy removes after it sets, so a header must never be in both lists.
    assert not set(removed) & set(headers_of(answer))


@pytest.mark.parametrize(
    "decision", [Allow("", "/"), Allow("signed", ""), Allow("signed", "x")], ids=str
)
def test_nothing_is_allowed_without_a_grant_and_a_path(decision: Allow) -> None:
    """Threat 1."""
    with pytest.raises(ValueError, match="needs a grant and a path"):
        encode(decision)


def test_a_denial_cannot_look_like_a_success() -> None:
    """Threats 2 and 3."""

    class Odd(refusals.Refusal):
        status, code, reason, title = 200, "OK", "odd", "Odd"

    with pytest.raises(ValueError, match="3xx, 4xx or 5xx"):
        encode(Deny(Odd("fine")))


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_client_gets_mlflows_json(leaf: type[refusals.Refusal]) -> None:
    answer = read(Deny(leaf("what to do")))
    assert answer.denied_response is not None
    assert json.loads(answer.denied_response.body) == {
        "error_code": leaf.code,
        "message": "what to do",
    }
    headers = headers_of(answer)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "private, no-store"
    assert ("www-authenticate" in headers) is (leaf is refusals.Unauthenticated)
    assert ("retry-after" in headers) is (leaf in (refusals.Unavailable, refusals.TooManyAttempts))


def test_a_person_gets_a_page_in_which_nothing_is_markup() -> None:
    evil = "<script>alert(1)</script>"
    answer = read(Deny(refusals.NotFound(evil), page=True, request_id=evil))
    assert answer.denied_response is not None
    assert "<script" not in answer.denied_response.body
    headers = headers_of(answer)
    assert headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]


def test_a_refusal_for_a_person_may_be_shown_in_the_frame_of_some_sites() -> None:
    hub, refusal = "https://hub.example.com", Deny(refusals.Unauthenticated("x"), page=True)
    alone = headers_of(CheckResponse.parse(encode(refusal)))
    framed = headers_of(CheckResponse.parse(encode(refusal, framed_by=[hub])))
    assert alone["content-security-policy"].endswith("; frame-ancestors 'none'")
    assert framed["content-security-policy"].endswith(f"; frame-ancestors {hub}")
    for_programs = encode(Deny(refusals.Unauthenticated("x")), framed_by=[hub])
    assert "content-security-policy" not in headers_of(CheckResponse.parse(for_programs))


def test_unavailable_says_when_to_come_back() -> None:
    assert headers_of(read(Deny(refusals.Unavailable("x", retry_after=17))))["retry-after"] == "17"


def test_moved_keeps_the_method() -> None:
    answer = read(Moved("/a/b/tracking/?x=1"))
    assert answer.denied_response is not None
    assert answer.denied_response.status is not None
    assert answer.denied_response.status.code == 308
    assert headers_of(answer)["location"] == "/a/b/tracking/?x=1"


@pytest.mark.parametrize(
    ("decision", "headers"),
    [
        (Moved("/a/"), {"location": "/a/", "cache-control": "no-store"}),
        (Found("/a/"), {"location": "/a/", "cache-control": "private, no-store"}),
        (Found("/a/", ("a=1",)), {"location": "/a/", "cache-control": "private, no-store"}),
        (
            Deny(refusals.Unauthenticated("x")),
            {
                "cache-control": "private, no-store",
                "content-type": "application/json",
                "www-authenticate": 'Bearer realm="MLflow"',
                "x-content-type-options": "nosniff",
            },
        ),
        (
            Deny(refusals.NotFound("x", cookies=("a=1",))),
            {
                "cache-control": "private, no-store",
                "content-type": "application/json",
                "x-content-type-options": "nosniff",
            },
        ),
    ],
    ids=str,
)
def test_nobody_between_us_and_a_client_keeps_an_answer_or_guesses_what_it_is(
    decision: Decision, headers: dict[str, str]
) -> None:
    assert headers_of(read(decision)) == headers


@pytest.mark.parametrize("decision", [Moved("/a/"), Found("/a/")], ids=str)
def test_a_redirect_shows_nothing(decision: Decision) -> None:
    answer = read(decision)
    assert answer.denied_response is not None
    assert answer.denied_response.body == ""


@pytest.mark.parametrize(
    ("status", "possible"), [(299, False), (300, True), (599, True), (600, False)]
)
def test_a_denial_has_a_status_that_denies(status: int, *, possible: bool) -> None:
    """Threats 2 and 3; beyond 599 Envoy knows no status."""

    class Odd(refusals.Refusal):
        code, reason, title = "ODD", "odd", "Odd"

    refusal = Odd("x")
    refusal.status = status  # type: ignore[misc]  # of this one only
    if possible:
        assert read(Deny(refusal)).denied_response is not None
    else:
        with pytest.raises(ValueError, match="3xx, 4xx or 5xx"):
            encode(Deny(refusal))


def test_a_page_names_the_request_that_the_log_names() -> None:
    answer = read(Deny(refusals.Unavailable("x"), page=True, request_id="7f-17"))
    assert answer.denied_response is not None
    assert "7f-17" in answer.denied_response.body


def test_a_browser_is_sent_elsewhere_and_keeps_each_cookie() -> None:
    """Threat 16."""
    answer = read(Found("https://hub.example.com/login", ("a=1", "b=2")))
    assert answer.denied_response is not None
    assert answer.denied_response.status is not None
    assert answer.denied_response.status.code == 302
    kept = [option for option in answer.denied_response.headers if _name(option) == "set-cookie"]
    assert [option.header.value for option in kept if option.header] == ["a=1", "b=2"]
    # Otherwise the second would replace the first.
    assert {option.append_action for option in kept} == {Append.APPEND_IF_EXISTS_OR_ADD}


def test_a_page_shows_the_way_on_and_nothing_of_it_is_markup() -> None:
    link = Link("<b>in</b>", 'https://hub.example.com/?a="><script>&b')
    answer = read(Deny(refusals.Unauthenticated("x"), page=True, link=link))
    assert answer.denied_response is not None
    body = answer.denied_response.body
    assert '<a href="https://hub.example.com/?a=&quot;&gt;&lt;script&gt;&amp;b" ' in body
    assert "<b>" not in body


def _name(option: HeaderValueOption) -> str:
    return option.header.key if option.header else ""
