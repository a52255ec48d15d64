"""Several reports of one message, applied together."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

from models.deliveries import DeliveryStatus
from services.deliveries.updating import RANKS, DeliveryUpdate

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_a_status_only_advances() -> None:
    """Whatever the order of the reports, the furthest status stays."""
    for order in permutations(RANKS):
        update = DeliveryUpdate()
        for status in order:
            update.advance_to(status)
        assert update.status is DeliveryStatus.COMPLAINED


def test_the_earliest_time_stays() -> None:
    """Whatever the order of the reports, of two times of one kind the earlier is stored."""
    for order in ((AT, AT + timedelta(hours=1)), (AT + timedelta(hours=1), AT)):
        update = DeliveryUpdate()
        for at in order:
            update.set_earliest("opened_at", at)
        assert update.opened_at == AT
