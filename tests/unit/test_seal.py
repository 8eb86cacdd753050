"""What we seal we can open, for the same purpose and with the same keys, and nobody else can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.edge.seal import Seal, SealBroken

OLD = SecretStr("an old secret key that is long enough")
NEW = SecretStr("a new secret key that is long enough")
SEAL = Seal([NEW])
# Once: each sealing differs, and Hypothesis wants the same choices each time.
SEALED = SEAL.close("session", b"content that is worth something")


@given(st.binary(max_size=500), st.text(max_size=10))
def test_what_was_sealed_opens_again(content: bytes, purpose: str) -> None:
    assert SEAL.open(purpose, SEAL.close(purpose, content)) == content


def test_no_two_sealed_texts_are_alike() -> None:
    assert SEAL.close("session", b"x") != SEAL.close("session", b"x")


def test_a_sealed_text_fits_into_a_cookie_as_it_is() -> None:
    assert SEAL.close("session", bytes(range(256))).replace("-", "").replace("_", "").isalnum()


def test_another_purpose_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        SEAL.open("session", SEAL.close("handshake", b"x"))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        Seal([OLD]).open("session", SEAL.close("session", b"x"))


def test_the_previous_key_opens_and_the_current_one_seals() -> None:
    """Threat 58."""
    both = Seal([NEW, OLD])
    assert both.open("session", Seal([OLD]).close("session", b"x")) == b"x"
    assert SEAL.open("session", both.close("session", b"y")) == b"y"


@given(st.data())
def test_a_changed_text_opens_nothing(data: st.DataObject) -> None:
    """CVE-2026-47775: what is not authenticated can be changed bit by bit."""
    at = data.draw(st.integers(0, len(SEALED) - 2))
    other = data.draw(st.sampled_from("ABab01-_").filter(lambda letter: letter != SEALED[at]))
    with pytest.raises(SealBroken):
        SEAL.open("session", SEALED[:at] + other + SEALED[at + 1 :])


@given(st.integers(0, 60))
def test_a_shortened_text_opens_nothing(length: int) -> None:
    with pytest.raises(SealBroken):
        SEAL.open("session", SEAL.close("session", b"content of some length")[:length])


@given(st.text())
def test_whatever_else_opens_nothing(text: str) -> None:
    with pytest.raises(SealBroken):
        SEAL.open("session", text)
