"""Exponential back-off with jitter: how long to wait before the next attempt."""

import random
from dataclasses import dataclass

MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays in seconds: `initial` after the first failure, doubled with each further one, at most `maximum`.

    Each delay is shortened at random by up to a half, so that processes that failed together do not retry together.
    """

    initial: float = 0.1
    maximum: float = 5.0

    def delay(self, failures: int) -> float:
        """The delay after this many consecutive failures, 1 for the first."""
        longest = min(self.maximum, self.initial * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter needs no secure randomness
