"""Signing keys that are read from a server, and tokens that are made by hand."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import RSAKey

from extauthz.edge.jwks import BadToken, SigningKeys
from tests.access import Calls, Clock
from tests.servers.ports import free_port
from tests.upstream import asking

KEYS = "/oauth/discovery/keys"


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
    """Read the keys of a server."""
    async with asking(url) as upstream:
        keys = SigningKeys(upstream.upstream, clock=upstream.clock)
        yield Reader(keys, upstream.clock, upstream.calls)
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
    """Return bytes as the parts of a token have them."""
    return urlsafe_b64encode(text).decode().rstrip("=")


def put_together(header: object, rest: str) -> str:
    """Put another header before the rest of a token."""
    return f"{base64url(json.dumps(header).encode())}.{rest}"


def payload_of(token: str) -> bytes:
    """Return what a token says, as it is signed."""
    return urlsafe_b64decode(token.split(".")[1] + "==")


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a token."""
    header: dict[str, Any] = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    return header
