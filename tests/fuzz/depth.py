"""How much is tried: some hundred cases each in the suite, and minutes of them with `FUZZ=deep`.

A deep run is for one file at a time: `FUZZ=deep pytest -n 0 --timeout 1800 tests/fuzz/test_….py`.
"""

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

DEEP: Final = os.environ.get("FUZZ") == "deep"
# Against servers in the same process an example takes microseconds, over the wire milliseconds.
FUZZED: Final = settings(
    max_examples=20_000 if DEEP else 200,
    deadline=None,
    # To explain a failure takes longer than a test may.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
ON_THE_WIRE: Final = settings(FUZZED, max_examples=5_000 if DEEP else 100)
