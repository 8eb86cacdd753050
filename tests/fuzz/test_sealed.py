"""What browsers keep for us, changed: sessions, tickets and handshakes open as they were, or not.

Threats 51, 55, 57 and 58, CVE-2026-47775.
"""

import json
from base64 import b64decode, urlsafe_b64encode
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.edge.provider import User
from extauthz.edge.seal import Seal, SealBroken
from extauthz.edge.session import Session, Tokens
from extauthz.edge.session_store import CookieStore
from extauthz.edge.site import Site
from tests.access import Clock
from tests.fuzz.cases import changed, damaged, texts
from tests.fuzz.depth import FUZZED
from tests.fuzz.jose import values

NEW, OLD, FOREIGN = (SecretStr(f"a secret of sufficient length, number {n}") for n in range(3))
SEAL: Final = Seal([NEW, OLD])
PURPOSES: Final = ["session", "ticket", "handshake"]
SEALED: Final = {
    Seal([secret]).close(purpose, f"{purpose} {at}".encode()): (purpose, secret)
    for at, secret in enumerate((NEW, OLD, FOREIGN))
    for purpose in PURPOSES
}
NOW: Final = 1_700_000_000.0
SITE: Final = Site.of("https://mlflow.example.org")


def raw(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")


RAW: Final = {raw(text): (text, *origin) for text, origin in SEALED.items()}


@FUZZED
@given(
    text=st.one_of(
        st.sampled_from([*SEALED]),
        changed(st.sampled_from([*SEALED])),
        damaged(st.sampled_from([text.encode() for text in SEALED])).map(
            lambda b: b.decode("latin-1")
        ),
    ),
    purpose=st.sampled_from(PURPOSES),
)
def test_a_text_opens_for_what_it_was_sealed_for_and_nothing_else(text: str, purpose: str) -> None:
    try:
        content = SEAL.open(purpose, text)
    except SealBroken:
        sealed_for, secret = SEALED.get(text, ("", FOREIGN))
        assert sealed_for != purpose or secret is FOREIGN
        return
    original, sealed_for, secret = RAW[raw(text)]
    assert sealed_for == purpose
    assert secret is not FOREIGN
    assert content == SEAL.open(purpose, original)


@FUZZED
@given(st.lists(st.sampled_from([*RAW]), min_size=3, max_size=3), st.sampled_from(PURPOSES))
def test_key_nonce_and_content_of_several_texts_make_no_other(
    parts: list[bytes], purpose: str
) -> None:
    mixed = parts[0][:4] + parts[1][4:16] + parts[2][16:]
    if mixed not in RAW:
        try:
            SEAL.open(purpose, urlsafe_b64encode(mixed).decode().rstrip("="))
        except SealBroken:
            return
        raise AssertionError(parts)


def session(name: str) -> Session:
    tokens = Tokens(SecretStr(f"access {name}"), SecretStr(f"refresh {name}"), NOW + 60, NOW + 90)
    return Session(f"id-{name}", User(f"gitlab:{name}", name), tokens, NOW, NOW)


def store() -> CookieStore:
    return CookieStore(SEAL, idle=7_200, clock=Clock(), wall=lambda: NOW)


PEOPLE: Final = {SEAL.close("session", session(name).pack()): name for name in ("7", "8")}


@FUZZED
@given(
    st.one_of(
        changed(st.sampled_from([*PEOPLE])), changed(st.sampled_from([*SEALED])), texts("headers")
    )
)
def test_a_changed_cookie_is_the_same_session_or_none(cookie: str) -> None:
    found = store().find(cookie)
    if found is not None:
        same = {raw(kept): name for kept, name in PEOPLE.items()}
        assert found.user.name == same[raw(cookie)]


@FUZZED
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(values, max_size=11).map(lambda v: json.dumps(v).encode()),
        damaged(st.just(session("7").pack())),
    )
)
@example(b'[[],"s","n","a","r",1,1,1,1,1]')
@example(b'["i","s","n","a","r",1,1,1,1,Infinity]')
@example(b'["i","s","n","a","r",1,1,1,%s,1]' % (b"9" * 400))
def test_what_is_sealed_but_no_session_is_none(content: bytes) -> None:
    """Another version of ours, say, with the same keys."""
    found = store().find(SEAL.close("session", content))
    assert found is None or isinstance(found.user.name, str)
