"""Tokens with a signature: the id_tokens of logins and of CI jobs, changed in every way.

CVE-2026-28802, CVE-2026-27962, CVE-2026-96760, CVE-2026-114615, CVE-2026-114616 and threats 48 to
52. What one with a good signature may say is tried with claims whose signature is not looked at.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from extauthz.edge.id_token import user_in
from extauthz.edge.job_claims import LEEWAY, OLDEST, job_of
from extauthz.edge.job_tokens import is_job_token
from extauthz.edge.jwks import BadToken, SigningKeys
from extauthz.edge.refusals import Forbidden, Unauthenticated, Unavailable
from extauthz.edge.upstream import Upstream, open_session
from tests.access import Calls
from tests.fuzz import jose
from tests.fuzz.cases import cases, changed, texts
from tests.fuzz.depth import FUZZED
from tests.servers.ports import free_port

OURS: Final = RSAKey.generate_key(2048)
OTHERS: Final = RSAKey.generate_key(2048)
HONEST: Final = '{"alg":"RS256","kid":"one"}'
NOW: Final = 1_700_000_000
ISSUER: Final = "https://gitlab.example.org"
AUDIENCE: Final = "https://mlflow.example.org"
JOB: Final = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 3_600,
    "project_id": "101",
    "project_path": "acme/vision",
    "job_project_id": "101",
    "job_project_path": "acme/vision",
    "user_id": "7",
    "user_login": "ann",
    "user_access_level": "developer",
}
LOGIN: Final = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": NOW,
    "exp": NOW + 120,
    "sub": "7",
    "nonce": "n-0S6_WzA2Mj",
    "nickname": "ann",
    "at_hash": "77QmUPtjPfzWtF2AnpK9RQ",
    "auth_time": NOW,
}


@dataclass(frozen=True, slots=True)
class Verifying:
    """Who verifies tokens with the keys that a server publishes: one, by the name `one`."""

    keys: SigningKeys
    runner: asyncio.Runner

    def claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token, None if it is refused."""
        try:
            return self.runner.run(self.keys.verified(token))
        except (BadToken, Unavailable):
            return None


async def _publish(stack: AsyncExitStack) -> SigningKeys:
    jwk = {**OURS.as_dict(private=False), "kid": "one", "use": "sig", "alg": "RS256"}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"keys": [jwk]})

    app = web.Application()
    app.router.add_get("/oauth/discovery/keys", answer)
    server = await stack.enter_async_context(TestServer(app, port=free_port()))
    session = await stack.enter_async_context(open_session())
    url = str(server.make_url("")).rstrip("/")
    keys = SigningKeys(Upstream(session, url, name="GitLab", observer=Calls()))
    stack.push_async_callback(keys.close)
    return keys


@pytest.fixture(scope="module")
def verifying() -> Iterator[Verifying]:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        keys = runner.run(_publish(stack))
        yield Verifying(keys, runner)
        runner.run(stack.aclose())


def signatures(text: str) -> dict[str, bytes]:
    """Return signatures of a text by who made them."""
    public = OURS.as_pem(private=False)
    return {
        "us": jose.with_rsa(OURS, text),
        "others": jose.with_rsa(OTHERS, text),
        "the public key as a secret": jose.with_secret(public, text),
        "nobody": b"",
        "us, for another text": jose.with_rsa(OURS, f"{text}x"),
    }


def test_each_saved_header_counts_only_where_it_says_what_gitlab_writes(
    verifying: Verifying,
) -> None:
    good = 0
    for header in cases("jose_headers"):
        text = jose.text_of(header, json.dumps(JOB))
        for who, signature in signatures(text).items():
            claims = verifying.claims(f"{text}.{jose.base64url(signature)}")
            if claims is not None:
                good += 1
                assert who == "us"
                said = json.loads(header.encode("utf-8", "surrogatepass"))
                assert (said["alg"], said["kid"]) == ("RS256", "one")
                assert said.keys().isdisjoint({"b64", "crit", "jku", "jwk", "x5c", "x5u"})
    assert good >= 3


@FUZZED
@given(
    header=st.one_of(st.just(HONEST), texts("jose_headers")),
    payload=st.one_of(jose.changed(JOB).map(json.dumps), st.text(max_size=30)),
    who=st.sampled_from(["us", "others", "the public key as a secret", "nobody"]),
    form=st.sampled_from(
        ["{}.{}", "{}.{}=", "{}.{}\n", " {}.{}", "{}.{}.x", "{}..{}", '{{"a":{}.{}}}']
    ),
)
def test_only_what_gitlab_signed_makes_claims(
    verifying: Verifying, *, header: str, payload: str, who: str, form: str
) -> None:
    text = jose.text_of(header, payload)
    token = form.format(text, jose.base64url(signatures(text)[who]))
    claims = verifying.claims(token)
    if claims is not None:
        assert who == "us"
        assert form == "{}.{}"
        # As text, because what is no number is not equal to itself.
        assert str(claims) == str(json.loads(payload))


@FUZZED
@given(data=st.data())
def test_a_signed_token_that_is_changed_or_put_together_anew_makes_the_same_claims_or_none(
    verifying: Verifying, data: st.DataObject
) -> None:
    tokens = []
    for honest in (JOB, JOB | {"user_id": "8"}):
        text = jose.text_of(HONEST, json.dumps(honest))
        tokens.append(f"{text}.{jose.base64url(signatures(text)['us'])}")
    one, other = (token.split(".") for token in tokens)
    mixed = [".".join(data.draw(st.sampled_from(pair)) for pair in zip(one, other, strict=True))]
    token = data.draw(st.one_of(st.sampled_from(mixed), changed(st.sampled_from(tokens))))
    claims = verifying.claims(token)
    assert claims is None or token.rpartition(".")[0] in [t.rpartition(".")[0] for t in tokens]


@FUZZED
@given(jose.changed(JOB))
def test_a_job_is_one_only_by_good_claims(claims: dict[str, Any]) -> None:
    """Threats 48 to 50."""
    try:
        job = job_of(claims, issuer=ISSUER, audience=AUDIENCE, now=NOW)
    except (Forbidden, Unauthenticated):
        return
    meant = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    assert claims["iss"] == ISSUER
    assert AUDIENCE in meant
    assert all(type(claims[name]) is int for name in ("exp", "iat", "nbf"))
    assert claims["exp"] > NOW - LEEWAY
    assert NOW - OLDEST < claims["iat"] <= NOW + LEEWAY
    assert job.ends <= NOW + OLDEST + LEEWAY
    assert str(claims["project_id"]) == str(job.project_id)
    assert claims["project_path"] == job.project_path
    if "job_project_id" in claims:
        assert str(claims["job_project_id"]) == str(claims["project_id"])
    assert claims.get("job_project_path", job.project_path) == job.project_path
    assert 0 <= job.level <= 50
    assert job.level == 0 or isinstance(claims["user_access_level"], str)


@FUZZED
@given(jose.changed(LOGIN))
def test_somebody_signs_in_only_by_good_claims(claims: dict[str, Any]) -> None:
    """Threats 48 and 52."""
    try:
        user = user_in(
            claims,
            issuer=ISSUER,
            client_id=AUDIENCE,
            nonce=LOGIN["nonce"],  # type: ignore[arg-type] # mypy joins the claims' types
            access_token="jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            now=NOW,
        )
    except Forbidden:
        return
    assert claims["iss"] == ISSUER
    assert claims["aud"] in (AUDIENCE, [AUDIENCE])
    assert claims["nonce"] == LOGIN["nonce"]
    assert user.subject == f"gitlab:{claims['sub']}"
    assert claims["exp"] > NOW - 60


@FUZZED
@given(st.one_of(texts("headers"), texts("jose_headers"), st.text()))
def test_to_ask_whether_a_token_is_a_jobs_never_fails(token: str) -> None:
    is_job_token(token, AUDIENCE)
    is_job_token(f"{jose.text_of(HONEST, token)}.", AUDIENCE)
