from hashlib import sha256
from hmac import digest

import pytest
from pydantic import SecretStr

from extauthz.keys import Purpose, derive, derive_text

SECRET = SecretStr("a secret of sufficient length, for tests")


def hkdf(secret: str, info: str) -> bytes:
    """Derive 32 bytes by the two steps of RFC 5869, 2.2 and 2.3; no salt is one of zeros."""
    extracted = digest(bytes(sha256().digest_size), secret.encode(), "sha256")
    return digest(extracted, info.encode() + b"\x01", "sha256")


@pytest.mark.parametrize(
    ("purpose", "info"),
    [
        (Purpose.GRANT, "extauthz grant v1"),
        (Purpose.GRANT_KEY_ID, "extauthz grant key id v1"),
        (Purpose.CACHE, "extauthz cache v1"),
        (Purpose.SEAL, "extauthz seal v1"),
        (Purpose.SEAL_KEY_ID, "extauthz seal key id v1"),
    ],
)
def test_a_key_is_the_same_in_every_release(purpose: Purpose, info: str) -> None:
    """Both halves derive it, and sessions outlive an upgrade."""
    assert derive(SECRET, purpose) == hkdf(SECRET.get_secret_value(), info)


def test_no_two_purposes_share_a_key() -> None:
    assert len({derive(SECRET, purpose) for purpose in Purpose}) == len(Purpose)


def test_a_key_in_letters_is_the_whole_key_and_fit_for_a_setting() -> None:
    text = derive_text(SecretStr("no padding"), Purpose.GRANT).get_secret_value()
    assert len(text) == 43
    assert text.replace("-", "a").replace("_", "a").isalnum()
    assert text != derive_text(SECRET, Purpose.GRANT).get_secret_value()
