"""How evenly connections came to the workers, as the service itself says it.

**Invariant:** it is asked while the load's connections and the idle ones have all been accepted.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass

ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class AcceptSkew:
    """The most connections that a worker took over the mean, and Jain's index (1 is even, 1/n is one for all)."""

    highest_over_mean: float
    jain: float

    @staticmethod
    def ask(admin: int) -> AcceptSkew:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/status.json", timeout=ANSWER_SECONDS) as answer:
            said = json.load(answer)["accept_skew"]
        return AcceptSkew(float(said["highest_over_mean"]), float(said["jain"]))
