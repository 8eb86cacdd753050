"""The examination: every probe, in time."""

import asyncio
from collections.abc import Sequence
from typing import Final

from extauthz.doctor import (
    checked,
    clock,
    database,
    envoy,
    grants,
    login,
    pages,
    paths,
    shadows,
    sharinghub,
    tls,
    views,
)
from extauthz.doctor.deployment import Deployment, Probe, Probes
from extauthz.doctor.finding import Finding, Verdict, untested
from extauthz.doctor.wire import Unreachable

# In the order of the report: the door, then what is behind it.
PROBES: Final[Probes] = {
    **pages.PROBES,
    **tls.PROBES,
    **checked.PROBES,
    **grants.PROBES,
    **paths.PROBES,
    **envoy.PROBES,
    **login.PROBES,
    **sharinghub.PROBES,
    **views.PROBES,
    **clock.PROBES,
    **database.PROBES,
    **shadows.PROBES,
}
EACH: Final = 15.0
# So many at once: a doctor is no load test.
_AT_ONCE: Final = 4


async def examine(deployment: Deployment, *, seconds: float) -> Sequence[Finding]:
    """Run every probe, and return what they found in the order of PROBES."""
    end = asyncio.get_running_loop().time() + seconds
    slots = asyncio.Semaphore(_AT_ONCE)

    async def run(name: str, probe: Probe) -> Finding:
        async with slots:
            return Finding.of(name, await _in_time(probe, deployment, end))

    return await asyncio.gather(*(run(name, probe) for name, probe in PROBES.items()))


async def _in_time(probe: Probe, deployment: Deployment, end: float) -> Verdict:
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(now + EACH, end)):
            return await probe(deployment)
    except TimeoutError:
        return untested("there was no answer in time")
    except Unreachable as trouble:
        return untested(str(trouble))
    except Exception as error:  # noqa: BLE001 - one probe must not take the others with it
        # Only the kind of error: its text could quote a token.
        return untested(f"it could not be judged ({type(error).__name__})")
