"""SharingHub: whether its session reaches us."""

from typing import Final
from urllib.parse import urlsplit

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested

# Needs no credential, and every answer of SharingHub's sets its cookie.
_PATH: Final = "/api/auth/info"
_FEWEST: Final = 2


async def cookie_domain(deployment: Deployment) -> Verdict:
    """See whether browsers send SharingHub's cookie to our host."""
    if not deployment.sharinghub:
        return untested("SharingHub is not the provider")
    ours, theirs = deployment.site.host, urlsplit(deployment.sharinghub).hostname or ""
    parent = common_parent(ours, theirs)
    if not parent:
        return failed(
            f"{theirs} and {ours} are in no common domain, so that its session never reaches us",
            "Give both a name below one domain, such as hub.example.org and mlflow.example.org.",
        )
    answer = await deployment.wire.ask("GET", f"{deployment.sharinghub}{_PATH}")
    found = [
        cookie for cookie in answer.cookies if cookie.startswith(f"{deployment.sharinghub_cookie}=")
    ]
    if not found:
        return untested(
            f"SharingHub sets no cookie {deployment.sharinghub_cookie}",
            "Set SHARINGHUB_SESSION_COOKIE to the name that SharingHub uses.",
        )
    domain = domain_of(found[0])
    if not (ours == theirs if not domain else is_within(ours, domain)):
        return failed(
            f"SharingHub's cookie is for {domain or theirs}, which {ours} is not in",
            f"Set SESSION_DOMAIN of SharingHub to {parent}.",
        )
    return passed(f"SharingHub's cookie is for {domain or theirs}, and so for {ours}")


def common_parent(one: str, other: str) -> str:
    """Return the domain that two hosts share, empty if there is none; a host is its own parent."""
    if one == other:
        return one
    shared: list[str] = []
    for label, twin in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if label != twin:
            break
        shared.insert(0, label)
    # No browser takes a cookie for a whole top-level domain, and an address has no parents.
    is_domain = len(shared) >= _FEWEST and not one.rpartition(".")[2].isdecimal()
    return ".".join(shared) if is_domain else ""


def domain_of(cookie: str) -> str:
    """Return the Domain of a Set-Cookie value, empty for that of the host alone."""
    pairs = (part.strip().partition("=") for part in cookie.split(";")[1:])
    given = {name.lower(): value for name, _, value in pairs}
    return given.get("domain", "").strip().lstrip(".").lower()


def is_within(host: str, domain: str) -> bool:
    """Tell whether a host is in a domain (RFC 6265, 5.1.3)."""
    return host == domain or host.endswith(f".{domain}")


PROBES: Final[Probes] = {"SharingHub cookie domain": cookie_domain}
