"""The throttle: an address that keeps sending bad credentials has to wait.

`limits` would keep every address it ever saw in memory, and a thread that forgets.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from extauthz.edge.cache import Cache
from extauthz.edge.credentials import Kind
from extauthz.edge.outage import Throttled
from extauthz.edge.provider import Asker
from extauthz.edge.refusals import TooManyAttempts, Unauthenticated

# So many refusals at once, and one more whenever so many seconds have passed.
MOST_REFUSALS: Final = 20
SECONDS_PER_REFUSAL: Final = 3.0
MOST_ADDRESSES: Final = 10_000
# A visitor has no secret, and a login comes out of what we have sealed.
_NEVER_MADE_UP: Final = frozenset({Kind.VISITOR, Kind.LOGIN})
# A provider charges its limit of our address with the tokens it does not know. Were they free then,
# one address could keep it at its limit, and everybody else out.
_BAD: Final = (Unauthenticated, Throttled)
# The half of an IPv6 address that tells networks apart; the other is for its owner to choose.
_BYTES_OF_NETWORK: Final = 8
_NO_ADDRESS: Final = b""
_WAIT: Final = (
    "Too many credentials from this address were refused. Wait a moment, and check "
    "MLFLOW_TRACKING_TOKEN."
)


@dataclass(slots=True)
class _Record:
    """An address's attempts under way, and the time at which all its refusals are forgotten."""

    under_way: int = 0
    clean_at: float = 0.0


class Throttle:
    """Counts refused credentials per address. An attempt under way counts as refused until it ends.

    Never holds up a credential that the provider has accepted before.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: Cache[bytes, _Record] = Cache(MOST_ADDRESSES, clock=clock)

    def __len__(self) -> int:
        return len(self._records)

    def attempt(self, asker: Asker) -> AbstractContextManager[None]:
        """Let somebody's credential be tried, at the expense of his address if it is refused.

        Raises TooManyAttempts.
        """
        if asker.proven or asker.credential.kind in _NEVER_MADE_UP:
            return nullcontext()
        return self.attempt_from(asker.credential.client)

    @contextmanager
    def attempt_from(self, client: str) -> Iterator[None]:
        """Let something be tried at the expense of an address; one that is not known pays nothing.

        Raises TooManyAttempts.
        """
        if not client:
            yield
            return
        record = self._admitted(_network(client))
        record.under_way += 1
        try:
            yield
        except _BAD:
            record.clean_at = max(record.clean_at, self._clock()) + SECONDS_PER_REFUSAL
            raise
        finally:
            record.under_way -= 1

    def _admitted(self, network: bytes) -> _Record:
        record = self._records.get(network)
        if record is None:
            record = _Record()
            self._records.put(network, record, until=math.inf)
        refusals = max(0.0, record.clean_at - self._clock()) / SECONDS_PER_REFUSAL
        excess = refusals + record.under_way + 1 - MOST_REFUSALS
        if excess > 0:
            raise TooManyAttempts(_WAIT, retry_after=math.ceil(excess * SECONDS_PER_REFUSAL))
        return record


def _network(client: str) -> bytes:
    """Return what counts as one address; whatever is no address counts as one, too."""
    try:
        address = ip_address(client)
    except ValueError:
        return _NO_ADDRESS
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return mapped.packed if mapped else address.packed[:_BYTES_OF_NETWORK]
    return address.packed
