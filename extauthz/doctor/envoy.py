"""Envoy itself, as its admin port describes it."""

import re
from typing import Final

from extauthz.doctor.configuration import Configuration
from extauthz.doctor.deployment import LIST, Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.doctor.wire import LARGEST_CONFIGURATION, Answer, Unreachable

# The first release of each line without the known ways around or through ext_authz
# (CVE-2026-47205, CVE-2026-73547, CVE-2026-73511, CVE-2026-73551, CVE-2026-73553).
FLOOR: Final = {(1, 36): 10, (1, 37): 6, (1, 38): 4, (1, 39): 1}
_OLDEST_SOUND: Final = (1, 40, 0)
# `hash/1.40.0/Clean/RELEASE/BoringSSL`; distributions put more behind the number.
_VERSION: Final = re.compile(r"(?:^|/)v?([0-9]+)\.([0-9]+)\.([0-9]+)")
_OK, _UNAUTHENTICATED = 200, 401
# What the edge says of a request without a credential, such as one whose token it has removed.
_LOST: Final = "This needs a GitLab token"
_HOW: Final = "Name Envoy's admin address with --envoy-admin."


async def version(deployment: Deployment) -> Verdict:
    """See whether Envoy is a release with the known holes mended."""
    if not deployment.envoy_admin:
        return untested("Envoy's admin address is not known", _HOW)
    match (await deployment.wire.ask("GET", f"{deployment.envoy_admin}/server_info")).json:
        case {"version": str(text)}:
            found = release_in(text)
        case _:
            found = None
    if found is None:
        return untested(f"{deployment.envoy_admin}/server_info names no release")
    name = ".".join(str(number) for number in found)
    if not is_sound(found):
        return failed(
            f"Envoy {name} has known holes on the way through ext_authz",
            "Update Envoy to 1.36.10, 1.37.6, 1.38.4, 1.39.1 or 1.40, or a later release.",
        )
    return passed(f"Envoy {name}")


async def fail_open(deployment: Deployment) -> Verdict:
    """See whether requests are refused while the edge is down."""
    known = await _configuration(deployment)
    if known is None:
        return untested("Envoy's configuration is not known", _HOW)
    if not known.authorizers:
        return failed(
            "no listener of Envoy has an ext_authz filter",
            "Use the configuration that `extauthz envoy-config` prints, or add the filter.",
        )
    filters = [it for chain in known.authorizers for it in chain]
    if open_ones := sorted({it.asks for it in filters if it.fails_open}):
        return failed(
            f"requests pass unchecked while {', '.join(open_ones)} is down",
            "Set failure_mode_allow: false (Istio and Envoy Gateway: failOpen: false).",
        )
    return passed("Envoy refuses requests while the edge is down")


async def exemptions(deployment: Deployment) -> Verdict:
    """See whether routes are exempt from the check."""
    known = await _configuration(deployment)
    if known is None:
        return untested("Envoy's configuration is not known", _HOW)
    if known.exempt:
        return failed(
            f"ext_authz is switched off for {', '.join(known.exempt)}",
            "Take the exemption away: the edge decides about pages and static files, too.",
        )
    return passed("no route is exempt from the check")


async def double(deployment: Deployment) -> Verdict:
    """See whether one request is checked twice: the second check sees what the first has made."""
    try:
        known = await _configuration(deployment)
    except Unreachable:
        known = None
    remedy = (
        "Check each path once, at the gateway or at the workload: the first check removes the "
        "credential and rewrites the path, so that the second refuses everybody."
    )
    for chain in known.authorizers if known else ():
        if len(always := [it.asks for it in chain if not it.conditional]) > 1:
            return failed(f"one request is checked by {' and by '.join(always)}", remedy)
    if deployment.token is None:
        if known is None:
            return untested("neither a token nor Envoy's configuration is known", _HOW)
        return passed("Envoy checks each request once")
    answer = await deployment.ask("GET", LIST, [bearer(deployment.token.get_secret_value())])
    if is_lost(answer):
        return failed("the token gets lost on the way to a second check", remedy)
    if answer.status != _OK and known is None:
        return untested(f"the token is answered with {answer.short}")
    return passed("each request is checked once")


def release_in(text: str) -> tuple[int, int, int] | None:
    """Return the release in what Envoy says of its version."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def is_sound(release: tuple[int, int, int]) -> bool:
    """Tell whether a release has no known holes that matter here."""
    line, patch = release[:2], release[2]
    return release >= _OLDEST_SOUND or (line in FLOOR and patch >= FLOOR[line])


def bearer(token: str) -> tuple[str, str]:
    """Return the header that carries a token."""
    return "Authorization", f"Bearer {token}"


def is_lost(answer: Answer) -> bool:
    """Tell whether a token was sent, and the edge has not seen it."""
    return answer.status == _UNAUTHENTICATED and answer.message.startswith(_LOST)


async def _configuration(deployment: Deployment) -> Configuration | None:
    if not deployment.envoy_admin:
        return None
    answer = await deployment.wire.ask(
        "GET", f"{deployment.envoy_admin}/config_dump", largest=LARGEST_CONFIGURATION
    )
    if answer.status != _OK or not isinstance(answer.json, dict):
        raise Unreachable(f"{deployment.envoy_admin}/config_dump says {answer.short}")
    return Configuration.of(answer.json)


PROBES: Final[Probes] = {
    "Envoy version": version,
    "fail-open": fail_open,
    "exempt routes": exemptions,
    "double enforcement": double,
}
