"""Cookies, as browsers send and take them."""

from collections.abc import Iterator
from typing import Final

from extauthz.edge.site import Site

# Exactly what browsers put around a pair (RFC 6265, 4.2.1). With a comma or another white space
# taken for an end, a cookie of a sibling domain could hold one of ours, prefix and all.
_BETWEEN: Final = ";"
_AROUND: Final = " \t"
# Envoy limits the headers of an answer.
_MOST_PATHS: Final = 4
# An answer has room for only so much.
_LONGEST_PATH: Final = 256


def values_of(name: str, header: str) -> list[str]:
    """Return the values of every cookie with a name in a Cookie header, empty ones included."""
    return [value for key, value in pairs_in(header) if key == name]


def pairs_in(header: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of every cookie in a Cookie header, in its order."""
    pairs = (pair.partition("=") for pair in header.split(_BETWEEN))
    return ((name.strip(_AROUND), value.strip(_AROUND)) for name, equals, value in pairs if equals)


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


def expired(name: str, site: Site, path: str = "/") -> Iterator[str]:
    """Yield the Set-Cookie values that make a browser forget a cookie that it sends for a path.

    It may be the host's own, or one that a sibling has set for a domain that both are in.
    """
    labels = site.host.split(".")
    domains = ["", *(f"; Domain={'.'.join(labels[at:])}" for at in range(len(labels) - 1))]
    for above in _paths_above(path):
        yield from (f"{name}=; Path={above}; Max-Age=0{domain}" for domain in domains)


def _paths_above(path: str) -> Iterator[str]:
    """Yield the paths whose cookies are sent for a path (RFC 6265, 5.1.4), the shortest first."""
    yield "/"
    ends = [at for at, letter in enumerate(path[:_LONGEST_PATH]) if letter == "/" and at]
    for end in ends[:_MOST_PATHS]:
        # Two paths to a browser.
        yield from (path[:end], path[: end + 1])
