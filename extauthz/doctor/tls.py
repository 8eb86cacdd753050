"""TLS: whether what is sent can be read on the way."""

import asyncio
import ssl
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from yarl import URL

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, failed, passed, untested
from extauthz.doctor.wire import Unreachable

_DAY: Final = 86_400
# Who renews by himself has done so by then.
_DAYS_LEFT: Final = 7


async def https(deployment: Deployment) -> Verdict:
    """See whether people reach it by https."""
    if not deployment.site.secure:
        if is_loopback(deployment.site.host):
            return passed("plain http, which does not leave this machine")
        return failed(
            f"{deployment.site.origin} is plain http: credentials can be read on the way",
            "End TLS at Envoy or in front of it, and set PUBLIC_URL to https.",
        )
    answer = await deployment.ask("GET", "/version")
    lasting = answer.headers.get("Strict-Transport-Security")
    return passed(f"https, with HSTS ({lasting})" if lasting else "https, without HSTS")


async def certificate(deployment: Deployment) -> Verdict:
    """See whether browsers trust the certificate, and how long still."""
    if not deployment.site.secure:
        return untested("there is none: plain http")
    try:
        ends = await _end_of_certificate(deployment)
    except ssl.SSLCertVerificationError as error:
        return failed(
            f"the certificate is not trusted here: {error.verify_message}",
            "Serve one for this name with its whole chain. If its authority is your own, name its "
            "file in SSL_CERT_FILE.",
        )
    except OSError as error:
        raise Unreachable(f"{deployment.site.origin} does not answer: {error.strerror}") from None
    days = int((ends - deployment.now()) // _DAY)
    if days < _DAYS_LEFT:
        return failed(f"the certificate ends in {days} days", "Renew it, and see why nobody did.")
    return passed(f"the certificate is trusted, for {days} more days")


async def _end_of_certificate(deployment: Deployment) -> float:
    url, there = URL(deployment.site.origin), deployment.connect
    host, port = (there.host, there.port) if there else (url.host, url.port)
    _, writer = await asyncio.open_connection(
        host, port, ssl=ssl.create_default_context(), server_hostname=url.host
    )
    try:
        return float(ssl.cert_time_to_seconds(writer.get_extra_info("peercert")["notAfter"]))
    finally:
        # Nothing was sent, so nobody need say goodbye.
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


PROBES: Final[Probes] = {"https": https, "certificate": certificate}
