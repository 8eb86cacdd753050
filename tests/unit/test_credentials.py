from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.credentials import (
    VISITOR,
    Credential,
    Kind,
    gitlab_credential,
    has_token,
    sharinghub_credential,
)
from extauthz.edge.refusals import BadRequest, Unauthenticated
from extauthz.edge.site import Site

SITE = Site.of("https://mlflow.example.org")
TOKEN = "glpat-0123456789abcdefghij"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def secret_of(**headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gitlab_credential(
        named, session_cookie="mlflow-session", site=SITE
    ).secret.get_secret_value()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer {TOKEN}"},
        {"authorization": f"Bearer  {TOKEN} "},
        {"authorization": basic(f"anybody:{TOKEN}")},
        {"authorization": basic(f":{TOKEN}")},
        {"private_token": TOKEN},
        {"x_gitlab_token": TOKEN},
        {"authorization": f"Bearer {TOKEN}", "private_token": TOKEN},
        {"authorization": basic(f"oauth2:{TOKEN}"), "x_gitlab_token": TOKEN},
    ],
    ids=str,
)
def test_a_token_is_found_wherever_clients_put_it(headers: dict[str, str]) -> None:
    """Threat 47: a token works as the password of Basic, which GitLab itself never gets."""
    assert secret_of(**headers) == TOKEN


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}", "private_token": "glpat-another"},
        {"authorization": f"Bearer {TOKEN}", "x_gitlab_token": ""},
        {"private_token": TOKEN, "x_gitlab_token": "glpat-another"},
        # Envoy joins a repeated header with a comma (CVE-2021-32777).
        {"authorization": f"Bearer {TOKEN},Bearer {TOKEN}"},
        {"authorization": f"Bearer {TOKEN},Bearer other"},
        {"private_token": f"{TOKEN},{TOKEN}"},
        {"authorization": "Basic %%%"},
        {"authorization": "Basic \u0080eDp5"},
        {"authorization": basic("nocolon")},
        {"authorization": basic("café:x")},
    ],
    ids=str,
)
def test_an_ambiguous_or_garbled_credential_is_malformed(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        secret_of(**headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Digest {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": basic("anybody:")},
        {"authorization": "Bearer caf\u00e9"},
        {"authorization": "Bearer a\x00b"},
        {"authorization": f"Bearer {TOKEN} {TOKEN}"},
        {"authorization": basic(f"anybody: {TOKEN}")},
        {"authorization": basic(f"anybody:{TOKEN} ")},
        {"authorization": "Bearer " + "x" * 1025},
        {"private_token": "glcbt-64_job"},
        {"authorization": "Bearer gldt-deploy"},
    ],
    ids=str,
)
def test_what_no_provider_could_prove_is_refused_at_once(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        secret_of(**headers)


def test_a_session_is_a_credential_of_its_own_kind() -> None:
    """CVE-2026-33496: equal texts of two kinds are two credentials."""
    headers = {"cookie": f"a=b; mlflow-session={TOKEN}"}
    credential = gitlab_credential(headers, session_cookie="mlflow-session", site=SITE)
    assert (credential.kind, credential.secret.get_secret_value()) == (Kind.SESSION, TOKEN)


@pytest.mark.parametrize(
    "cookie", ["", "mlflow-session=", "mlflow-session", "other=x", "mlflow-session=a b"]
)
def test_what_cannot_be_a_session_is_no_credential(cookie: str) -> None:
    with pytest.raises(Unauthenticated):
        secret_of(cookie=cookie)


def test_two_sessions_are_one_too_many_and_the_browser_is_told_to_forget_them() -> None:
    """A sibling domain could add one of its own to ours."""
    with pytest.raises(BadRequest) as raised:
        secret_of(cookie=f"mlflow-session={TOKEN}; mlflow-session=other")
    assert "mlflow-session=; Path=/; Max-Age=0; Domain=example.org" in raised.value.cookies


def test_a_planted_session_is_forgotten_below_the_public_path_too() -> None:
    below = Site.of("https://mlflow.example.org/mlflow")
    headers = {"cookie": "mlflow-session=a; mlflow-session=b"}
    with pytest.raises(BadRequest) as raised:
        gitlab_credential(headers, session_cookie="mlflow-session", site=below)
    for path in ("/", "/mlflow", "/mlflow/"):
        end = f"mlflow-session=; Path={path}; Max-Age=0"
        assert {end, f"{end}; Domain=example.org"} <= set(raised.value.cookies)


@pytest.mark.parametrize(
    "planted",
    [
        f"theme=dark,mlflow-session={TOKEN}",
        f"\u2000mlflow-session={TOKEN}",
        f"\xa0mlflow-session={TOKEN}",
        f"\x85mlflow-session={TOKEN}",
        f"\x0bmlflow-session={TOKEN}",
        f"mlflow-session\u2003={TOKEN}",
        f"MLFLOW-SESSION={TOKEN}",
    ],
)
def test_a_sibling_cannot_plant_a_session_within_a_cookie_of_its_own(planted: str) -> None:
    """Threats 55 and 59: a reader that is laxer than browsers undoes the prefix `__Host-`."""
    with pytest.raises(Unauthenticated):
        secret_of(cookie=planted)
    assert secret_of(cookie=f"{planted}; mlflow-session=own") == "own"


def test_a_session_that_envoy_joined_with_another_is_one_too_many() -> None:
    with pytest.raises(BadRequest):
        secret_of(cookie=f"mlflow-session={TOKEN},mlflow-session=other")


@pytest.mark.parametrize("header", ["authorization", "private-token", "x-gitlab-token"])
def test_a_token_comes_before_a_session_and_never_gives_way_to_it(header: str) -> None:
    good = f"Bearer {TOKEN}" if header == "authorization" else TOKEN
    headers = {header: good, "cookie": "mlflow-session=sealed"}
    credential = gitlab_credential(headers, session_cookie="mlflow-session", site=SITE)
    assert (credential.kind, credential.secret.get_secret_value()) == (Kind.TOKEN, TOKEN)
    bad = headers | {header: "Bearer " if header == "authorization" else ""}
    with pytest.raises(Unauthenticated):
        gitlab_credential(bad, session_cookie="mlflow-session", site=SITE)


@given(st.dictionaries(st.sampled_from(["authorization", "private-token"]), st.text()))
def test_any_header_is_a_credential_or_a_refusal(headers: dict[str, str]) -> None:
    try:
        credential = gitlab_credential(headers, session_cookie="mlflow-session", site=SITE)
    except (BadRequest, Unauthenticated):
        return
    assert credential.secret.get_secret_value() in " ".join(headers.values()) or "asic" in str(
        headers
    )


def test_a_credential_does_not_show_its_secret() -> None:
    credential = gitlab_credential({"private-token": TOKEN}, session_cookie="x", site=SITE)
    assert credential.kind is Kind.TOKEN
    assert TOKEN not in repr(credential)
    assert TOKEN not in str(credential)
    assert isinstance(credential, Credential)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({}, False),
        ({"cookie": "mlflow-session=sealed"}, False),
        ({"authorization": "Bearer "}, True),
        ({"private-token": ""}, True),
        ({"x-gitlab-token": TOKEN}, True),
    ],
    ids=str,
)
def test_what_is_sent_on_purpose_is_told_from_what_a_browser_adds(
    headers: dict[str, str], *, sent: bool
) -> None:
    assert has_token(headers) is sent


SESSION = "eyJhdXRoIjoge319.aSK0Bw.h4sh_-"


def of_sharinghub(**headers: str) -> Credential:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sharinghub_credential(named, session_cookie="sharinghub-session", site=SITE)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": basic(f"ann:{TOKEN}")},
        {"private_token": TOKEN},
        {"x_gitlab_token": TOKEN},
        {"x_gitlab_token": TOKEN, "cookie": f"sharinghub-session={SESSION}"},
        {"authorization": f"Bearer {TOKEN}", "cookie": f"sharinghub-session={SESSION}"},
        # A cookie that is not looked at cannot be ambiguous.
        {"private_token": TOKEN, "cookie": "sharinghub-session=a; sharinghub-session=b"},
    ],
    ids=str,
)
def test_a_token_comes_before_a_session(headers: dict[str, str]) -> None:
    credential = of_sharinghub(**headers)
    assert (credential.kind, credential.secret.get_secret_value()) == (Kind.TOKEN, TOKEN)


@pytest.mark.parametrize(
    "cookie",
    [
        f"sharinghub-session={SESSION}",
        f"theme=dark; sharinghub-session={SESSION}; lang=en",
        f"xsharinghub-session=1; sharinghub-session={SESSION}; sharinghub-session-2=3",
    ],
)
def test_a_sharinghub_session_is_found_among_other_cookies(cookie: str) -> None:
    credential = of_sharinghub(cookie=cookie)
    assert credential.kind is Kind.SHARINGHUB_SESSION
    assert credential.secret.get_secret_value() == SESSION
    assert SESSION not in repr(credential)


@pytest.mark.parametrize(
    "cookie",
    [
        "sharinghub-session=a; sharinghub-session=b",
        "sharinghub-session=a; sharinghub-session=a",
        "sharinghub-session=; sharinghub-session=a",
    ],
)
def test_two_sessions_are_ambiguous(cookie: str) -> None:
    """A sibling domain can plant a second cookie of the same name."""
    with pytest.raises(BadRequest):
        of_sharinghub(cookie=cookie)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "bearer  "},
        # On purpose nobody, whatever the browser adds.
        {"authorization": "Bearer ", "cookie": f"sharinghub-session={SESSION}"},
        {"cookie": ""},
        {"cookie": "sharinghub-session"},
        {"cookie": "sharinghub-session="},
        {"cookie": f"Sharinghub-Session={SESSION}"},
        {"cookie": f"mlflow-session={SESSION}"},
        {"cookie": "sharinghub-session=" + "x" * 4097},
        {"cookie": "sharinghub-session=caf\u00e9"},
        {"cookie": "sharinghub-session=a\r\nX-Gitlab-Token: b"},
    ],
    ids=str,
)
def test_all_who_come_without_a_credential_are_one_visitor(headers: dict[str, str]) -> None:
    assert of_sharinghub(**headers) is VISITOR


@pytest.mark.parametrize(
    ("headers", "refusal"),
    [
        ({"authorization": basic("ann:")}, Unauthenticated),
        ({"private_token": ""}, Unauthenticated),
        ({"authorization": ""}, Unauthenticated),
        ({"private_token": "glcbt-64_job"}, Unauthenticated),
        ({"authorization": "Bearer ", "private_token": TOKEN}, BadRequest),
        ({"authorization": "Bearer ,Bearer x"}, BadRequest),
    ],
    ids=str,
)
def test_a_bad_explicit_token_never_becomes_a_visitor(
    headers: dict[str, str], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        of_sharinghub(**headers, cookie=f"sharinghub-session={SESSION}")


@given(st.text())
def test_any_cookie_header_is_a_session_a_visitor_or_malformed(cookie: str) -> None:
    try:
        credential = of_sharinghub(cookie=cookie)
    except BadRequest:
        return
    assert credential.secret.get_secret_value() in cookie
