"""Values computed from a campaign's counters: rates, progress, speed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.ids import new_id
from models.campaigns import CampaignStatus
from services.campaigns.progress import DeliveryCounts, Figures, ProgressRow, _average_rate, _progress_of

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NONE = dict.fromkeys(DeliveryCounts._fields, 0)


def figures(
    counts: dict[str, int], status: CampaignStatus = CampaignStatus.SENDING, *, seconds: float = 10
) -> Figures:
    """The figures of a campaign that started some seconds ago."""
    rest: dict[str, Any] = dict.fromkeys(("reached", "opened", "clicked", "unsubscribed"), 0)
    return Figures(
        campaign_id=new_id(),
        status=str(status),
        status_reason=None,
        started_at=START,
        sequence=1,
        updated_at=START + timedelta(seconds=seconds),
        **{**NONE, **rest, **counts},
    )


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ({"audience": 0}, 0.0),
        ({"audience": 3_000, "pending": 1, "accepted": 2_999}, 99.9),
        ({"audience": 3_000, "in_flight": 1, "accepted": 2_999}, 99.9),
        ({"audience": 3_000, "unknown": 1, "accepted": 2_999}, 99.9),
        ({"audience": 8, "pending": 3, "skipped": 2, "failed": 1, "rejected": 1, "bounced": 1}, 62.5),
        ({"audience": 2, "accepted": 2}, 100.0),
    ],
)
def test_progress_is_the_share_that_has_ended(counts: dict[str, int], percent: float) -> None:
    """With any result: never 100 before the end, and always 100 for a campaign that has ended."""
    assert _progress_of(figures(counts)).percent == percent
    for status in (CampaignStatus.SENT, CampaignStatus.CANCELLED, CampaignStatus.FAILED):
        assert _progress_of(figures(counts, status)).percent == 100.0


def test_the_rate_counts_submitted_messages() -> None:
    """Skipped deliveries do not count; there is no rate before the first, or for a campaign that is not sent now."""
    counts = {"audience": 100, "pending": 20, "in_flight": 10, "skipped": 30, "accepted": 40}
    row = _progress_of(figures(counts))
    assert (row.rate, row.rate_per_second) == (4.0, 4.0)
    assert row.eta == row.updated_at + timedelta(seconds=7.5)
    assert row.estimated_seconds_left == 8
    none: tuple[ProgressRow, ...] = (
        _progress_of(figures(counts, CampaignStatus.PAUSED)),
        _progress_of(figures({**counts, "pending": 60, "accepted": 0})),
        _progress_of(figures(counts, seconds=0)),
    )
    for each in none:
        assert (each.rate, each.rate_per_second, each.eta, each.estimated_seconds_left) == (None, 0.0, None, None)
    assert _average_rate(figures(counts).counts, None, START) is None


def test_rates_are_from_0_to_1() -> None:
    """Of those reached, or sent; an open that was reported before its delivery does not make it more than 1."""
    rates = figures(
        {
            "accepted": 2,
            "delivered": 3,
            "bounced": 1,
            "complained": 1,
            "rejected": 5,
            "reached": 3,
            "opened": 4,
            "clicked": 1,
        }
    )
    assert (rates.sent, rates.open_rate, rates.click_rate, rates.delivery_rate) == (7, 1.0, 0.3333, 0.4286)
    nothing = figures({"opened": 1, "clicked": 1})
    assert (nothing.sent, nothing.open_rate, nothing.click_rate, nothing.delivery_rate) == (0, 0.0, 0.0, 0.0)
