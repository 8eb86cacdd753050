import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from time import time
from typing import Any

import pytest
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import RSAKey

from tests.gitlab import GitLab, Refused
from tests.oidc_client import Client, parameters_of


@pytest.fixture
def client(running: GitLab) -> Client:
    running.reset()
    running.create_user("ann")
    return Client.registered(running)


def id_token(client: Client, **knobs: object) -> str:
    client.gitlab.tamper(**knobs)
    return str(client.sign_in()["id_token"])


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    decoded: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


@pytest.mark.parametrize(
    ("claim", "value"),
    [("nonce", "other"), ("aud", ["other"]), ("iss", "https://gitlab.evil.example"), ("exp", 1)],
)
def test_a_claim_is_what_the_test_wants(client: Client, claim: str, value: object) -> None:
    token = id_token(client, claims={claim: value})

    assert client.verified(token)[claim] == value


def test_a_claim_and_the_key_id_go_missing(client: Client) -> None:
    token = id_token(client, claims={"nonce": None}, header={"kid": None})

    assert "nonce" not in part(token, 1)
    assert part(token, 0) == {"typ": "JWT", "alg": "RS256"}


def test_the_header_brings_a_key_along(client: Client) -> None:
    token = id_token(client, header={"jku": "http://evil.example/keys"})

    assert part(token, 0)["jku"] == "http://evil.example/keys"


def test_a_key_that_nobody_publishes_signs_under_a_known_id(client: Client) -> None:
    token = id_token(client, unpublished_key=True)

    assert part(token, 0)["kid"] in {key["kid"] for key in client.jwks()}
    with pytest.raises(BadSignatureError):
        client.verified(token)


def test_a_token_without_a_signature_says_so(client: Client) -> None:
    token = id_token(client, algorithm="none")

    assert (part(token, 0)["alg"], token.split(".")[2]) == ("none", "")
    with pytest.raises(JoseError):
        client.verified(token)


def test_the_public_key_serves_as_a_shared_secret(client: Client) -> None:
    token = id_token(client, algorithm="HS256")

    signed, _, signature = token.rpartition(".")
    (jwk,) = [key for key in client.jwks() if key["kid"] == part(token, 0)["kid"]]
    secret = RSAKey.import_key(jwk).as_pem(private=False)
    digest = hmac.digest(secret, signed.encode(), hashlib.sha256)
    assert urlsafe_b64decode(f"{signature}=") == digest


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_the_clock_is_off(client: Client, seconds: int) -> None:
    claims = part(id_token(client, clock_skew=seconds), 1)

    assert abs(claims["iat"] - time() - seconds) < 60
    assert abs(claims["exp"] - time() - seconds - 120) < 60


def test_access_tokens_live_as_long_as_the_test_wants(client: Client) -> None:
    client.gitlab.tamper(access_token_lifetime=0)
    tokens = client.sign_in()

    assert tokens["expires_in"] == 0
    assert client.get("/api/v4/user", tokens["access_token"]).status == 401


def test_every_authorization_is_refused_with_any_error(client: Client) -> None:
    client.gitlab.tamper(authorize_error="temporarily_unavailable")

    parameters = parameters_of(client.gitlab.sign_in(client.url(), "ann"))
    assert (parameters["error"], parameters["state"]) == ("temporarily_unavailable", "the-state")


def test_the_callback_gets_other_parameters(client: Client) -> None:
    client.gitlab.tamper(callback={"state": None, "iss": "https://gitlab.evil.example"})

    parameters = parameters_of(client.gitlab.sign_in(client.url(), "ann"))
    assert parameters.keys() == {"code", "iss"}


def test_answers_have_other_fields(client: Client) -> None:
    client.gitlab.tamper(
        token_response={"id_token": None, "token_type": "mac"},
        userinfo={"sub": "99"},
        discovery={"issuer": "https://gitlab.evil.example"},
    )
    tokens = client.sign_in()

    assert "id_token" not in tokens
    assert tokens["token_type"] == "mac"
    assert client.get("/oauth/userinfo", tokens["access_token"]).body["sub"] == "99"
    discovered = client.get("/.well-known/openid-configuration").body
    assert discovered["issuer"] == "https://gitlab.evil.example"


def test_knobs_replace_each_other_and_none_is_right_again(client: Client) -> None:
    id_token(client, claims={"nonce": "other"})

    assert part(id_token(client, clock_skew=1), 1)["nonce"] == "the-nonce"
    assert client.verified(id_token(client))["nonce"] == "the-nonce"


@pytest.mark.parametrize("knobs", [{"klaims": {}}, {"algorithm": "RS1"}, {"clock_skew": "late"}])
def test_a_knob_that_is_not_known_is_refused(client: Client, knobs: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        client.gitlab.tamper(**knobs)


def test_rotation_signs_with_a_new_key_and_withdraws_the_old(client: Client) -> None:
    old = id_token(client)
    new_ids = client.gitlab.rotate_keys()

    new = id_token(client)
    assert part(new, 0)["kid"] == new_ids["login"] != part(old, 0)["kid"]
    client.verified(new)
    with pytest.raises((JoseError, ValueError)):
        client.verified(old)


def test_rotation_may_keep_the_old_key_published(client: Client) -> None:
    old = id_token(client)
    client.gitlab.rotate_keys(keep_previous=True)

    assert client.verified(old)["sub"] == "1"
    assert len(client.jwks()) == 4


def test_published_keys_are_public(client: Client) -> None:
    for key in client.jwks():
        assert key.keys() == {"kty", "n", "e", "kid", "use", "alg"}
