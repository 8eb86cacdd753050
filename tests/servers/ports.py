"""Ports for servers under test."""

import random
import socket

# Below the range from which Linux takes the ports of outgoing connections, so that nothing else
# can hold a port between two starts of a server.
_CANDIDATES = range(10_000, 32_000)
# Not the seeded generator: every test process must draw other numbers.
_draw = random.SystemRandom()


def free_port() -> int:
    """Return a TCP port on which nothing listens."""
    while True:
        port = _draw.choice(_CANDIDATES)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
