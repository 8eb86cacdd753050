"""GitLab's signing keys: whose signature counts, and how seldom they are asked for."""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from extauthz.edge.breaker import Breaker
from extauthz.edge.errors import Unavailable
from extauthz.edge.jwks import LONGEST_TOKEN, BadToken, SigningKeys
from extauthz.edge.outage import Busy, Outage, Throttled
from extauthz.edge.upstream import Upstream, open_session
from tests.access import TIMEOUT, Calls, Clock
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.ports import free_port

AUDIENCE = "https://mlflow.example.org"
PATH = "acme/vision"
KEYS = "/oauth/discovery/keys"
HOUR = 3_600
OUTAGES = [
    ("error", {"status": 500}),
    ("error", {"status": 404}),
    ("html", {"status": 502}),
    ("html", {"status": 200}),
    ("reset", {}),
    ("hang", {}),
    ("truncate", {}),
    ("huge", {}),
    ("redirect", {"location": "https://evil.example.org/"}),
]
Fault = tuple[str, dict[str, object]]


@dataclass(frozen=True)
class Reader:
    """Who verifies tokens, on a clock that the test moves."""

    keys: SigningKeys
    clock: Clock
    calls: Calls

    async def refusal(self, token: str) -> str:
        """Return the message of a definite refusal."""
        with pytest.raises(BadToken) as caught:
            await self.keys.verified(token)
        return str(caught.value)


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reader]:
    clock, calls = Clock(), Calls()
    async with open_session() as session:
        upstream = Upstream(
            session,
            url,
            name="GitLab",
            observer=calls,
            breaker=Breaker(clock=clock),
            timeout=TIMEOUT,
        )
        keys = SigningKeys(upstream, clock=clock)
        yield Reader(keys, clock, calls)
        await keys.close()


@asynccontextmanager
async def publishing(body: object) -> AsyncIterator[Reader]:
    """Read the keys of a server that publishes whatever the test wants."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    app = web.Application()
    app.router.add_get(KEYS, answer)
    async with (
        TestServer(app, port=free_port()) as server,
        reading(str(server.make_url("")).rstrip("/")) as reader,
    ):
        yield reader


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        yield gitlab


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    running.create_user("ann")
    running.create_project(PATH)
    running.add_member(PATH, "ann", DEVELOPER)
    return running


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


def minted(gitlab: GitLab, **knobs: object) -> str:
    gitlab.tamper(**knobs)
    return gitlab.mint_id_token(PATH, "ann", AUDIENCE)


def fetches(gitlab: GitLab) -> int:
    return len(gitlab.calls(KEYS))


def published(key: RSAKey, **changes: object) -> dict[str, Any]:
    """Return a key as a JWKS has it; what is None is left out."""
    jwk = {**key.as_dict(private=False), "kid": "one", "use": "sig", "alg": "RS256", **changes}
    return {name: value for name, value in jwk.items() if value is not None}


def signed(key: RSAKey, payload: bytes = b'{"sub":"1"}', /, **header: object) -> str:
    """Sign by hand, as joserfc rightly refuses to make some headers."""
    head = json.dumps({"alg": "RS256", "kid": "one", **header}).encode()
    text = f"{base64url(head)}.{base64url(payload)}"
    assert key.private_key is not None
    return f"{text}.{base64url(key.private_key.sign(text.encode(), PKCS1v15(), SHA256()))}"


def base64url(text: bytes) -> str:
    return urlsafe_b64encode(text).decode().rstrip("=")


def put_together(header: object, rest: str) -> str:
    """Put another header before the rest of a token."""
    return f"{base64url(json.dumps(header).encode())}.{rest}"


def payload_of(token: str) -> bytes:
    return urlsafe_b64decode(token.split(".")[1] + "==")


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    return header


async def test_a_token_that_gitlab_signed_tells_its_claims(gitlab: GitLab) -> None:
    async with reading(gitlab.url) as reader:
        claims = await reader.keys.verified(minted(gitlab))

    assert (claims["iss"], claims["aud"]) == (gitlab.url, AUDIENCE)
    assert reader.calls.seen == [("keys", "answered")]


async def test_the_keys_are_read_once_in_an_hour(gitlab: GitLab) -> None:
    token = minted(gitlab)
    async with reading(gitlab.url) as reader:
        for _ in range(10):
            await reader.keys.verified(token)
            reader.clock.pass_by(HOUR / 10 - 1)
        assert fetches(gitlab) == 1
        reader.clock.pass_by(10)

        await reader.keys.verified(token)

    assert fetches(gitlab) == 2


async def test_many_who_come_at_once_share_one_call(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("latency", path=KEYS, seconds=0.2)
    async with reading(gitlab.url) as reader:
        await asyncio.gather(*(reader.keys.verified(token) for _ in range(100)))

    assert fetches(gitlab) == 1


async def test_a_new_key_is_known_after_one_call(gitlab: GitLab) -> None:
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(minted(gitlab))
        reader.clock.pass_by(10)
        gitlab.rotate_keys()

        for _ in range(10):
            await reader.keys.verified(minted(gitlab))

    assert fetches(gitlab) == 2


async def test_a_withdrawn_key_counts_no_more_once_the_keys_are_read_again(
    gitlab: GitLab,
) -> None:
    old = minted(gitlab)
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(old)
        gitlab.rotate_keys()
        await reader.keys.verified(old)
        reader.clock.pass_by(HOUR)

        assert "does not publish" in await reader.refusal(old)

    assert fetches(gitlab) == 2


async def test_a_flood_of_made_up_keys_costs_one_call_in_ten_seconds(gitlab: GitLab) -> None:
    """Threat 48: anybody can name a key, so naming one must cost GitLab nothing."""
    token = minted(gitlab)
    flood = [minted(gitlab, header={"kid": f"made-up-{number}"}) for number in range(20)]
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(token)
        for made_up in flood:
            with pytest.raises(Busy):
                await reader.keys.verified(made_up)
        assert fetches(gitlab) == 1
        reader.clock.pass_by(10)

        for number, made_up in enumerate(flood):
            with pytest.raises(Busy if number else BadToken):
                await reader.keys.verified(made_up)
            await reader.keys.verified(token)

    assert fetches(gitlab) == 2


async def test_a_new_key_waits_behind_a_flood_for_ten_seconds_at_most(gitlab: GitLab) -> None:
    made_up = minted(gitlab, header={"kid": "made-up"})
    async with reading(gitlab.url) as reader:
        await reader.refusal(made_up)
        gitlab.rotate_keys()
        token = minted(gitlab)
        with pytest.raises(Unavailable) as caught:
            await reader.keys.verified(token)
        assert caught.value.retry_after >= 1
        reader.clock.pass_by(10)

        await reader.keys.verified(token)

    assert fetches(gitlab) == 2


@pytest.mark.parametrize("fault", OUTAGES, ids=range(len(OUTAGES)))
async def test_in_an_outage_the_keys_that_are_known_still_count(
    gitlab: GitLab, fault: Fault
) -> None:
    token, unknown = minted(gitlab), minted(gitlab, header={"kid": "made-up"})
    async with reading(gitlab.url) as reader:
        await reader.keys.verified(token)
        gitlab.faults(fault[0], **fault[1])
        reader.clock.pass_by(2 * HOUR)

        for _ in range(10):
            await reader.keys.verified(token)
        with pytest.raises(Unavailable):
            await reader.keys.verified(unknown)
        assert reader.calls.outcomes[1:] in (["trouble"], ["answered"])
        gitlab.heal()
        reader.clock.pass_by(10)
        await reader.refusal(unknown)

    assert len(reader.calls.seen) == 3


@pytest.mark.parametrize("fault", OUTAGES, ids=range(len(OUTAGES)))
async def test_in_an_outage_an_unknown_key_is_no_definite_answer(
    gitlab: GitLab, fault: Fault
) -> None:
    token = minted(gitlab)
    async with reading(gitlab.url) as reader:
        gitlab.faults(fault[0], **fault[1])
        with pytest.raises(Outage):
            await reader.keys.verified(token)
        gitlab.heal()
        for _ in range(10):
            with pytest.raises(Busy):
                await reader.keys.verified(token)
        assert len(reader.calls.seen) == 1
        reader.clock.pass_by(1)

        await reader.keys.verified(token)


async def test_a_gitlab_that_limits_us_is_no_definite_answer(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("throttle", path=KEYS, seconds=7)
    async with reading(gitlab.url) as reader:
        with pytest.raises(Throttled):
            await reader.keys.verified(token)


async def test_who_waits_for_keys_is_told_when_the_server_stops(gitlab: GitLab) -> None:
    token = minted(gitlab)
    gitlab.faults("hang", path=KEYS)
    async with reading(gitlab.url) as reader:
        waiting = asyncio.create_task(reader.keys.verified(token))
        await asyncio.sleep(0.1)
        await reader.keys.close()

        with pytest.raises(Unavailable, match="shutting down"):
            await waiting


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


@pytest.mark.parametrize("body", [{}, {"keys": {}}, {"keys": None}, [], None, "keys"])
async def test_an_answer_that_is_no_set_of_keys_is_an_outage(key: RSAKey, body: object) -> None:
    async with publishing(body) as reader:
        with pytest.raises(Outage):
            await reader.keys.verified(signed(key))
