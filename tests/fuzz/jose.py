"""JSON Web Tokens put together by hand, as libraries rightly refuse to make some of them."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from tests.fuzz.cases import cases

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def base64url(text: bytes) -> str:
    return urlsafe_b64encode(text).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def with_rsa(key: RSAKey, text: str) -> bytes:
    """Return the RS256 signature of a text."""
    assert key.private_key is not None
    return key.private_key.sign(text.encode(), PKCS1v15(), SHA256())


def with_secret(secret: bytes, text: str) -> bytes:
    """Return the HS256 signature of a text."""
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def text_of(header: str, payload: str | bytes) -> str:
    """Return what of a token is signed."""
    content = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    return f"{base64url(header.encode('utf-8', 'surrogatepass'))}.{base64url(content)}"


@st.composite
def changed(draw: st.DrawFn, good: dict[str, Any]) -> dict[str, Any]:
    """Return good claims, of which up to two are changed or missing."""
    claims = dict(good)
    for _ in range(draw(st.integers(0, 2))):
        over = draw(
            st.one_of(
                st.sampled_from(cases("claims")).map(json.loads),
                st.dictionaries(st.sampled_from(sorted(good)), values, max_size=1),
            )
        )
        claims |= over
    return {name: value for name, value in claims.items() if value is not None}
