"""GitLab's signing keys: whose signature counts."""

import json

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from extauthz.edge.jwks import LONGEST_TOKEN
from tests.acme import PATH, acme
from tests.gitlab import DEVELOPER, GitLab
from tests.jwks import (
    KEYS,
    base64url,
    header_of,
    payload_of,
    published,
    publishing,
    put_together,
    reading,
    signed,
)

AUDIENCE = "https://mlflow.example.org"


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab where `ann` is a developer."""
    return acme(running, ann=DEVELOPER)


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


async def test_a_token_without_a_signature_is_refused(gitlab: GitLab) -> None:
    """CVE-2026-28802: `alg` none and an empty signature passed for signed."""
    good = minted(gitlab)
    unsigned = minted(gitlab, algorithm="none")
    assert header_of(unsigned)["alg"] == "none"
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(good)
        await reader.refusal(unsigned)
        # One that has a signature, and one that has another's.
        await reader.refusal(f"{unsigned}c2lnbmVk")
        await reader.refusal(f"{unsigned}{good.split('.')[2]}")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 1, ["RS256"]])
async def test_whatever_else_is_called_an_algorithm_is_refused(
    gitlab: GitLab, name: object
) -> None:
    """CVE-2026-28802."""
    good = minted(gitlab)
    rest = good.partition(".")[2]
    async with reading(gitlab.url) as reader:
        await reader.refusal(put_together({**header_of(good), "alg": name}, rest))

    assert fetches(gitlab) == 0


async def test_a_token_sealed_with_the_public_key_is_refused(gitlab: GitLab) -> None:
    """Threat 48: HS256 with the RSA key, which everybody knows, as the shared secret."""
    sealed = minted(gitlab, algorithm="HS256")
    assert header_of(sealed)["alg"] == "HS256"
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(minted(gitlab))

        assert "the way" in await reader.refusal(sealed)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_another_algorithm_of_the_same_key_is_refused(key: RSAKey, algorithm: str) -> None:
    header = {"alg": algorithm, "kid": "one"}
    other = jws.serialize_compact(header, "{}", key, [algorithm])
    async with publishing({"keys": [published(key, alg=None)]}) as reader:
        assert await reader.keys.verified(signed(key)) == {"sub": "1"}
        await reader.refusal(other)


async def test_a_key_that_the_token_brings_along_is_not_believed(
    gitlab: GitLab, key: RSAKey
) -> None:
    """CVE-2026-27962: a token verified with the `jwk` of its own header."""
    good = minted(gitlab)
    kid, claims = header_of(good)["kid"], payload_of(good)
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(good)

        await reader.refusal(signed(key, claims, kid=kid, jwk=key.as_dict(private=False)))
        await reader.refusal(signed(key, claims, kid=kid, jwk={"kty": "RSA"}))
        await reader.refusal(signed(key, claims, kid=kid))


@pytest.mark.parametrize(
    "brought",
    [
        {"jku": "https://evil.example.org/keys"},
        {"x5u": "https://evil.example.org/chain"},
        {"x5c": ["MIIB"]},
        {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"jwk": {}},
        {"jwk": None},
        {"jku": ""},
        {"crit": ["kid"]},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": 1},
        {"b64": True},
        {"b64": False},
        {"b64": False, "crit": ["b64"]},
        {"typ": 1},
    ],
)
async def test_a_header_that_leads_elsewhere_is_refused_although_gitlab_signed_it(
    key: RSAKey, brought: dict[str, object]
) -> None:
    """Threat 48: `jku`, `x5u`, `x5c` and what changes how a token is read."""
    async with publishing({"keys": [published(key)]}) as reader:
        assert await reader.keys.verified(signed(key, typ="JWT")) == {"sub": "1"}

        await reader.refusal(signed(key, **brought))


async def test_a_payload_that_is_elsewhere_is_refused(key: RSAKey) -> None:
    """Threat 48: RFC 7515 lets a payload be detached."""
    async with publishing({"keys": [published(key)]}) as reader:
        await reader.refusal(jws.detach_content(signed(key)))


async def test_the_id_of_gitlabs_other_key_does_not_fit(gitlab: GitLab) -> None:
    """Threat 48: a swapped `kid`."""
    ids = gitlab.rotate_keys()
    async with reading(gitlab.url) as reader:
        swapped = minted(gitlab, header={"kid": ids["login"]})

        assert "signature" in await reader.refusal(swapped)


@pytest.mark.parametrize("kid", [None, 1, True, ["one"], {"one": 1}])
async def test_a_token_names_its_key_in_a_text(key: RSAKey, kid: object) -> None:
    async with publishing({"keys": [published(key)]}) as reader:
        await reader.refusal(signed(key, kid=kid))

    assert not reader.calls.seen


async def test_a_key_that_nobody_publishes_proves_nothing(gitlab: GitLab) -> None:
    """Threat 48: signed by a forger's key under the id of a published one."""
    async with reading(gitlab.url) as reader:
        assert "signature" in await reader.refusal(minted(gitlab, unpublished_key=True))


async def test_claims_that_were_changed_are_refused(gitlab: GitLab) -> None:
    header, payload, signature = minted(gitlab).split(".")
    claims = json.loads(payload_of(f"{header}.{payload}.{signature}"))
    changed = base64url(json.dumps({**claims, "project_id": "1"}).encode())
    async with reading(gitlab.url) as reader:
        await reader.refusal(f"{header}.{changed}.{signature}")
        await reader.refusal(f"{header}.{payload}.{signature[:-4]}AAAA")


async def test_json_serialisations_are_refused(gitlab: GitLab) -> None:
    """Threat 48: a JSON serialisation may hold no signature at all."""
    header, payload, signature = minted(gitlab).split(".")
    flattened = {"payload": payload, "protected": header, "signature": signature}
    general = {"payload": payload, "signatures": []}
    async with reading(gitlab.url) as reader:
        for serialised in (flattened, general):
            await reader.refusal(json.dumps(serialised))

    assert fetches(gitlab) == 0


async def test_what_is_no_token_is_refused_without_a_call(gitlab: GitLab) -> None:
    token = minted(gitlab)
    _, payload, signature = token.split(".")
    headers: list[object] = [None, 1, "alg b64", ["alg", "kid"], {}, {"kid": "one"}, [[[]]]]
    odd = [
        "",
        "..",
        f" {token}",
        f"{token}\n",
        f"{token}=",
        f"{token}.{signature}",
        f"{token}.e30.e30",
        f".{payload}.{signature}",
        f"!.{payload}.{signature}",
        f"é.{payload}.{signature}",
        f"A.{payload}.{signature}",
        f"{token}{'A' * LONGEST_TOKEN}",
        *(put_together(header, f"{payload}.{signature}") for header in headers),
        put_together("[" * 300, f"{payload}.{signature}"),
        f"{base64url(b'[' * 380)}.{payload}.{signature}",
    ]
    async with reading(gitlab.url) as reader:
        for each in odd:
            assert token not in await reader.refusal(each)

    assert fetches(gitlab) == 0


async def test_a_token_that_is_too_long_is_refused_although_it_is_signed(key: RSAKey) -> None:
    # Such a length is reached by no token of GitLab's, which are 3 KB long at most.
    rest = len(signed(key, b"{}"))
    room = (LONGEST_TOKEN - rest) * 3 // 4
    async with publishing({"keys": [published(key)]}) as reader:
        fits = signed(key, b'{"a":1}'.ljust(room))
        assert await reader.keys.verified(fits) == {"a": 1}

        await reader.refusal(signed(key, b'{"a":1}'.ljust(room + 9)))
    assert len(fits) <= LONGEST_TOKEN


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"null", b"[]", b'"a"', b"1", b"\xff", b"[" * 5_000], ids=range(8)
)
async def test_a_signed_token_without_claims_is_refused(key: RSAKey, payload: bytes) -> None:
    async with publishing({"keys": [published(key)]}) as reader:
        await reader.refusal(signed(key, payload))


async def test_only_rsa_keys_that_sign_are_used(key: RSAKey) -> None:
    """Threat 48: neither a symmetric key nor one for another purpose verifies anything."""
    others = [
        {**OctKey.generate_key(256).as_dict(), "kid": "one"},
        {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "one"},
        published(key, use="enc"),
        published(key, alg="RS512"),
        published(key, kid=None),
        published(key, kid=1),
        published(key, n=1),
        published(key, n=""),
        published(key, e="AA"),
        {"kty": "RSA", "kid": "one"},
        {},
        None,
        "one",
    ]
    async with publishing({"keys": others}) as reader:
        await reader.refusal(signed(key))
    async with publishing({"keys": [*others, published(key, kid="two", use=None)]}) as reader:
        assert await reader.keys.verified(signed(key, kid="two")) == {"sub": "1"}


def minted(gitlab: GitLab, **knobs: object) -> str:
    gitlab.tamper(**knobs)
    return gitlab.mint_id_token(PATH, "ann", AUDIENCE)


def fetches(gitlab: GitLab) -> int:
    return len(gitlab.calls(KEYS))
