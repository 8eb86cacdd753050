"""Grants: none opens that the edge did not sign for this MLflow within the last minute.

Threats 28 and 29. What holds the key could sign anything; nobody else gets a claim changed.
"""

import json
from base64 import urlsafe_b64encode
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.grant import (
    LEEWAY,
    LIFETIME,
    Grant,
    GrantError,
    GrantExpired,
    GrantForged,
    GrantKey,
    GrantSigner,
    GrantVerifier,
    View,
    Why,
    unpack_ids,
)
from extauthz.keys import Purpose, derive
from extauthz.levels import Role
from extauthz.plugin.grants import VerifiedGrants
from tests.access import Clock
from tests.fuzz import jose
from tests.fuzz.cases import changed, damaged, texts
from tests.fuzz.depth import FUZZED

SECRET: Final = SecretStr("a secret of sufficient length, for tests")
OURS, PREVIOUS, OTHERS = (GrantKey(SecretStr(f"{SECRET.get_secret_value()}{n}")) for n in range(3))
INSTANCE: Final = "gitlab.example.org"
NOW: Final = 1_700_000_000


def project(number: int, role: Role, instance: str = INSTANCE) -> Grant:
    return Grant(
        view=View.PROJECT,
        instance=instance,
        role=role,
        why=Why.GUEST if role is Role.READ else None,
        project_id=number,
        project_path=f"group/{number}",
    )


GRANTS: Final = [
    project(1, Role.READ),
    project(1, Role.WRITE),
    project(2, Role.WRITE),
    Grant(view=View.GLOBAL, instance=INSTANCE, why=Why.GLOBAL, projects=(1, 2, 999)),
    Grant(view=View.PUBLIC, instance=INSTANCE),
    Grant(view=View.SYSTEM, instance=INSTANCE),
]


def signed(grant: Grant, key: GrantKey = OURS, age: float = 0) -> str:
    return GrantSigner(key, clock=lambda: NOW - age).sign(grant)


GOOD: Final = {signed(grant, key): grant for grant in GRANTS for key in (OURS, PREVIOUS)}
BAD: Final = [
    *(signed(grant, OTHERS) for grant in GRANTS),
    *(signed(grant, age=LIFETIME + LEEWAY + 1) for grant in GRANTS),
    *(signed(grant, age=-LEEWAY - 1) for grant in GRANTS),
    *(signed(project(1, role, "gitlab.other.example")) for role in Role),
]
# By what is signed: the same signature can be written in more ways than one.
SIGNED: Final = {token.rpartition(".")[0]: grant for token, grant in GOOD.items()}
VERIFIER: Final = GrantVerifier([OURS, PREVIOUS], instance=INSTANCE, clock=lambda: NOW)


def hold(token: str) -> Grant | None:
    """Open a token; hold that it opens only if it was signed as it is."""
    try:
        grant = VERIFIER.open(token)
    except (GrantForged, GrantExpired):
        return None
    assert SIGNED[token.rpartition(".")[0]] == grant
    return grant


def test_these_open_and_those_do_not() -> None:
    assert [hold(token) for token in GOOD] == [*GOOD.values()]
    assert [hold(token) for token in BAD] == [None] * len(BAD)


@FUZZED
@given(changed(st.sampled_from([*GOOD, *BAD])))
def test_a_changed_grant_says_the_same_or_nothing(token: str) -> None:
    hold(token)


@FUZZED
@given(damaged(st.sampled_from([token.encode() for token in [*GOOD, *BAD]])))
def test_a_grant_with_turned_bits_says_the_same_or_nothing(token: bytes) -> None:
    hold(token.decode("latin-1"))


@FUZZED
@given(st.lists(st.sampled_from([*GOOD, *BAD]), min_size=3, max_size=3))
def test_parts_of_several_grants_make_no_other(tokens: list[str]) -> None:
    header, payload, signature = (token.split(".")[at] for at, token in enumerate(tokens))
    hold(f"{header}.{payload}.{signature}")


@FUZZED
@given(
    header=texts("jose_headers"),
    grant=st.sampled_from(GRANTS),
    secret=st.sampled_from([b"", OURS.id.encode(), derive(SECRET, Purpose.CACHE)]),
)
def test_no_header_makes_another_key_of_it(header: str, grant: Grant, secret: bytes) -> None:
    """Threat 28: the header of a token only chooses among the keys that we have."""
    text = jose.text_of(header.replace("one", OURS.id), jose.decoded(signed(grant).split(".")[1]))
    for signature in (jose.with_secret(secret, text), b""):
        assert hold(f"{text}.{jose.base64url(signature)}") is None


@FUZZED
@given(
    jose.changed(
        {
            "iss": "extauthz",
            "aud": "mlflow",
            "iat": NOW,
            "exp": NOW + 60,
            "inst": INSTANCE,
            "view": "project",
            "role": "write",
            "sub": "",
            "name": "",
            "id": 1,
            "path": "a/b",
        }
    )
)
def test_claims_that_are_signed_but_make_no_sense_are_refused(claims: dict[str, object]) -> None:
    text = jose.text_of(json.dumps({"alg": "HS256", "kid": OURS.id}), json.dumps(claims))
    secret = SecretStr(f"{SECRET.get_secret_value()}0")
    signature = jose.base64url(jose.with_secret(derive(secret, Purpose.GRANT), text))
    try:
        grant = VERIFIER.open(f"{text}.{signature}")
    except (GrantForged, GrantExpired):
        return
    assert grant.instance == claims["inst"] == INSTANCE
    assert (claims["iss"], claims["aud"]) == ("extauthz", "mlflow")
    assert (grant.view, grant.role) == (claims["view"], claims["role"])


@FUZZED
@given(st.lists(st.tuples(st.sampled_from([*GOOD, *BAD]), st.integers(0, 40)), max_size=12))
def test_what_was_verified_once_is_not_believed_for_longer(steps: list[tuple[str, int]]) -> None:
    """Threat 28: a grant that is remembered ends when it would have ended otherwise."""
    clock = Clock(NOW)
    known = VerifiedGrants(
        GrantVerifier([OURS, PREVIOUS], instance=INSTANCE, clock=clock), clock=clock
    )
    for token, seconds in steps:
        clock.pass_by(seconds)
        fresh = GrantVerifier([OURS, PREVIOUS], instance=INSTANCE, clock=clock)
        outcomes: list[Grant | type[GrantError]] = []
        for opener in (known, fresh):
            try:
                outcomes.append(opener.open(token))
            except GrantError as error:
                outcomes.append(type(error))
        assert outcomes[0] == outcomes[1]


@FUZZED
@given(
    st.one_of(
        st.text(max_size=40),
        st.binary(max_size=40).map(lambda b: urlsafe_b64encode(b).decode().rstrip("=")),
    )
)
def test_packed_ids_are_ids_or_malformed(text: str) -> None:
    try:
        ids = unpack_ids(text)
    except ValueError:
        return
    assert all(number >= 1 for number in ids[:1])
