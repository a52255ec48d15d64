from collections import Counter

import pytest

from sandbox import EngagementRates
from sandbox.engagement import PlannedEvent, plan

RATES = EngagementRates(hard_bounce=0.1, soft_bounce=0.05, complaint=0.02, unsubscribe=0.03, open=0.5, click=0.4)
PEOPLE = [f"person{n}@example.com" for n in range(10_000)]


def planned_events(
    address: str, *, opens: bool = True, clicks: bool = True, seed: int = 1
) -> tuple[PlannedEvent, ...]:
    """The planned events of an address."""
    return plan(address, seed, RATES, opens=opens, clicks=clicks)


def test_rates_hold_for_many_addresses() -> None:
    """The fractions of bounces, opens, clicks, complaints and unsubscribes are as configured."""
    counts = Counter(event.kind for address in PEOPLE for event in planned_events(address) if event.first)
    deliveries = counts["Delivery"]
    assert deliveries + counts["HardBounce"] + counts["SoftBounce"] == len(PEOPLE)
    assert counts["HardBounce"] / len(PEOPLE) == pytest.approx(0.1, abs=0.02)
    assert counts["SoftBounce"] / len(PEOPLE) == pytest.approx(0.05, abs=0.02)
    assert counts["Open"] / deliveries == pytest.approx(0.5, abs=0.03)
    assert counts["Click"] / counts["Open"] == pytest.approx(0.4, abs=0.03)
    assert counts["SpamComplaint"] / deliveries == pytest.approx(0.02, abs=0.01)
    assert counts["SubscriptionChange"] / deliveries == pytest.approx(0.03, abs=0.01)


def test_delays_are_realistic() -> None:
    """A delivery takes 0.3 to 3 seconds, an open about 20 on average, and no event precedes its cause."""
    events = [event for address in PEOPLE for event in planned_events(address)]
    assert all(0.3 <= event.delay <= 3.0 for event in events if event.kind in {"Delivery", "HardBounce"})
    openings = [event.delay for event in events if event.kind == "Open" and event.first]
    assert sum(openings) / len(openings) == pytest.approx(20.5, abs=1.5)
    assert min(event.delay for event in events) >= 0.3


def test_events_depend_only_on_seed_and_address() -> None:
    """The same pair has the same events, in any case of the address; another seed changes some."""
    assert [planned_events(address) for address in PEOPLE[:50]] == [
        planned_events(address.upper()) for address in PEOPLE[:50]
    ]
    assert [planned_events(address) for address in PEOPLE[:50]] != [
        planned_events(address, seed=2) for address in PEOPLE[:50]
    ]


def test_there_are_no_opens_and_clicks_without_tracking() -> None:
    """Without tracking the vendor cannot see them."""
    kinds = {event.kind for address in PEOPLE for event in planned_events(address, opens=False, clicks=False)}
    assert not kinds & {"Open", "Click"}


@pytest.mark.parametrize(
    ("local", "kinds"),
    [
        ("hardbounce", ["HardBounce"]),
        ("softbounce", ["SoftBounce"]),
        ("transient", ["Transient"]),
        ("dnserror", ["DnsError"]),
        ("blocked", ["Blocked"]),
        ("spamcomplaint", ["Delivery", "SpamComplaint"]),
        ("unsubscribe", ["Delivery", "SubscriptionChange"]),
    ],
)
def test_test_addresses_have_fixed_events(local: str, kinds: list[str]) -> None:
    """Each documented test address always has the same events."""
    assert [event.kind for event in planned_events(f"{local}@bounce-testing.postmarkapp.com")] == kinds
    assert [event.kind for event in planned_events("test@blackhole.postmarkapp.com")] == ["Delivery"]
