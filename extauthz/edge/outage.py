"""Outages: the ways in which there is no definite answer from another server.

Unavailable
├── Busy                   we do too much at once; says nothing about the server
├── Throttled              one credential asked too often; everybody else is served
└── Outage                 no usable answer; what is known already may be served stale
    └── Down               no answer at all, or a 5xx; counts for the circuit breaker
        └── Unreachable    so for everybody: no connection
            └── Skipped    the breaker is open, so nobody was asked
"""

from extauthz.edge.refusals import Unavailable


class Busy(Unavailable):
    """We have too many questions under way, or take too long over one."""

    def __init__(self, message: str = "Too much is asked at once. Try again in a moment.") -> None:
        super().__init__(message)


class Throttled(Unavailable):
    """The server limits this credential (429)."""


class Outage(Unavailable):
    """The server, or something in front of it, does not answer as it should."""


class Down(Outage):
    """The server cannot be reached, stays silent, or fails."""


class Unreachable(Down):
    """The server answers nobody."""


class Skipped(Unreachable):
    """The server was not asked, since it did not answer before."""
