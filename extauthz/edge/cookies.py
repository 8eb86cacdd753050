"""Cookies, as browsers send and take them."""

import re
from collections.abc import Iterator
from typing import Final

from extauthz.edge.site import Site

# Envoy joins a repeated header with a comma, which RFC 6265 keeps out of names and values.
_BETWEEN: Final = re.compile("[;,]")


def values_of(name: str, header: str) -> list[str]:
    """Return the values of every cookie with a name in a Cookie header, empty ones included."""
    pairs = (pair.partition("=") for pair in _BETWEEN.split(header))
    return [value.strip() for key, equals, value in pairs if equals and key.strip() == name]


def names_in(header: str) -> Iterator[str]:
    """Yield the name of every cookie in a Cookie header."""
    pairs = (pair.partition("=") for pair in _BETWEEN.split(header))
    return (name.strip() for name, equals, _ in pairs if equals)


def own_name(name: str, site: Site) -> str:
    """Return the name of a cookie of ours.

    Browsers take one with the prefix from nobody but the host itself, over https and for all of
    its paths, so that no sibling domain can plant one (RFC 6265bis, 4.1.3.2).
    """
    return f"__Host-{name}" if site.secure and not site.prefix else name


def own_cookie(name: str, value: str, site: Site, *, seconds: float) -> str:
    """Return the Set-Cookie value that makes a browser keep a cookie of ours; 0 s: forget it."""
    secure = "; Secure" if site.secure else ""
    return (
        f"{own_name(name, site)}={value}; Path={site.prefix}/; Max-Age={int(seconds)}; HttpOnly; "
        f"SameSite=Lax{secure}"
    )


def expired(name: str, host: str) -> Iterator[str]:
    """Yield the Set-Cookie values that make a browser forget a cookie of a host.

    It may be the host's own, or one that a sibling has set for a domain that both are in.
    """
    end = f"{name}=; Path=/; Max-Age=0"
    yield end
    labels = host.split(".")
    for start in range(len(labels) - 1):
        yield f"{end}; Domain={'.'.join(labels[start:])}"
