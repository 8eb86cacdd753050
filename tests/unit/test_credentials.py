from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.credentials import Credential, Kind, credential_of
from extauthz.edge.errors import BadRequest, Unauthenticated

TOKEN = "glpat-0123456789abcdefghij"


def basic(text: str) -> str:
    return f"Basic {b64encode(text.encode()).decode()}"


def secret_of(**headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return credential_of(named).secret.get_secret_value()


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


def test_a_cookie_is_no_credential() -> None:
    with pytest.raises(Unauthenticated):
        secret_of(cookie=f"mlflow-session={TOKEN}")


@given(st.dictionaries(st.sampled_from(["authorization", "private-token"]), st.text()))
def test_any_header_is_a_credential_or_a_refusal(headers: dict[str, str]) -> None:
    try:
        credential = credential_of(headers)
    except (BadRequest, Unauthenticated):
        return
    assert credential.secret.get_secret_value() in " ".join(headers.values()) or "asic" in str(
        headers
    )


def test_a_credential_does_not_show_its_secret() -> None:
    credential = credential_of({"private-token": TOKEN})
    assert credential.kind is Kind.TOKEN
    assert TOKEN not in repr(credential)
    assert TOKEN not in str(credential)
    assert isinstance(credential, Credential)
