"""Exponential back-off with jitter: how long to wait before the next try."""

import random
from dataclasses import dataclass

MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Seconds between tries: from the first doubled with each failure up to the longest, each cut by up to a half.

    The cut spreads the processes that have failed together.
    """

    first: float = 0.1
    longest: float = 5.0

    def pause(self, failures: int) -> float:
        """The pause after so many failures in a row, 1 for the first."""
        longest = min(self.longest, self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter, guards nothing
