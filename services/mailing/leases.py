"""How long a lease lasts, and how it is divided, so that no two workers send the same message."""

from dataclasses import dataclass

from core.clock import since_boot

RENDER_SHARE = 0.1
_REQUEST_SHARE = 0.5
_MARGIN_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds: `render` and `request` limit rendering and a request; `needed` must remain to submit a batch."""

    lease: float
    render: float
    request: float
    needed: float


def lease_times(lease: float, *, request_seconds: float) -> LeaseTimes:
    """Divide a lease of so many seconds; a request gets at most half of it."""
    request = min(request_seconds, lease * _REQUEST_SHARE)
    return LeaseTimes(
        lease=lease, render=lease * RENDER_SHARE, request=request, needed=request + lease * _MARGIN_SHARE
    )


def has_time(deadline: float, seconds: float) -> bool:
    """Whether more than so many seconds remain until a deadline (`since_boot` seconds)."""
    return since_boot() + seconds < deadline
