"""The times that keep two workers off one message: all follow from the lease."""

from dataclasses import dataclass

from core.clock import since_boot

COMPOSE_SHARE = 0.1
REQUEST_SHARE = 0.5
MARGIN_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds: the lease, the longest rendering and request within it, and what must remain to hand a batch over."""

    lease: float
    compose: float
    request: float
    needed: float


def lease_times(lease: float, *, request_seconds: float) -> LeaseTimes:
    """The times within a lease of so many seconds; a request always ends well inside it."""
    request = min(request_seconds, lease * REQUEST_SHARE)
    return LeaseTimes(
        lease=lease, compose=lease * COMPOSE_SHARE, request=request, needed=request + lease * MARGIN_SHARE
    )


def time_for(deadline: float, seconds: float) -> bool:
    """Whether so many seconds remain until a deadline in `since_boot` seconds."""
    return since_boot() + seconds < deadline
