"""Outages: the three ways in which there is no definite answer from another server.

Unavailable
├── Throttled   one credential asked too often; everybody else is served
└── Outage      nobody gets a usable answer; what is known already may be served stale
    └── Down    no answer at all, or a 5xx; counts for the circuit breaker
"""

from extauthz.edge.errors import Unavailable


class Throttled(Unavailable):
    """The server limits this credential (429)."""


class Outage(Unavailable):
    """The server, or something in front of it, does not answer as it should."""


class Down(Outage):
    """The server cannot be reached, stays silent, or fails."""
