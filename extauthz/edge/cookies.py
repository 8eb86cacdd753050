"""Cookies, as browsers send and take them."""

import re
from collections.abc import Iterator
from typing import Final

# Envoy joins a repeated header with a comma, which RFC 6265 keeps out of names and values.
_BETWEEN: Final = re.compile("[;,]")


def values_of(name: str, header: str) -> list[str]:
    """Return the values of every cookie with a name in a Cookie header, empty ones included."""
    pairs = (pair.partition("=") for pair in _BETWEEN.split(header))
    return [value.strip() for key, equals, value in pairs if equals and key.strip() == name]


def expired(name: str, host: str) -> Iterator[str]:
    """Yield the Set-Cookie values that make a browser forget a cookie of a host.

    It may be the host's own, or one that a sibling has set for a domain that both are in.
    """
    end = f"{name}=; Path=/; Max-Age=0"
    yield end
    labels = host.split(".")
    for start in range(len(labels) - 1):
        yield f"{end}; Domain={'.'.join(labels[start:])}"
