"""Clocks: grants live a minute, and the identities that GitLab gives not much longer."""

from email.utils import parsedate_to_datetime
from typing import Final

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.doctor.wire import Answer, Unreachable
from extauthz.grant import LEEWAY

_DISCOVERY: Final = "/.well-known/openid-configuration"


async def clocks(deployment: Deployment) -> Verdict:
    """Compare the Date of every server with the time here."""
    offsets: dict[str, float] = {}
    for name, url in (await _servers(deployment)).items():
        try:
            answer = await deployment.wire.ask("GET", url)
        except Unreachable:
            continue
        if (date := date_of(answer)) is not None:
            offsets[name] = date - deployment.now()
    if not offsets:
        return untested("no server says what time it is")
    told = ", ".join(f"{name} {round(offset):+d} s" for name, offset in offsets.items())
    spread = max(0.0, *offsets.values()) - min(0.0, *offsets.values())
    # Dates have no fractions of a second.
    if spread > LEEWAY + 1:
        return failed(
            f"against the clock of this machine: {told}",
            "Let every machine keep its time with NTP: MLflow refuses a grant that is more than "
            f"{LEEWAY} s away from its own clock, and the edge judges GitLab's tokens by its own.",
        )
    return passed(f"against the clock of this machine: {told}")


async def _servers(deployment: Deployment) -> dict[str, str]:
    """Return what to ask for: MLflow and the edge may run on different machines."""
    gitlab = await deployment.gitlab_url()
    addresses = {
        "MLflow": f"{deployment.public_url}/version",
        "the edge": f"{deployment.public_url}/auth/login",
        "GitLab": f"{gitlab}{_DISCOVERY}" if gitlab else "",
        "SharingHub": deployment.sharinghub,
    }
    return {name: url for name, url in addresses.items() if url}


def date_of(answer: Answer) -> float | None:
    """Return the Unix time at which an answer says to be made."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except ValueError:
        return None


PROBES: Final[Probes] = {"clocks": clocks}
