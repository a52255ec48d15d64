from collections import Counter

import pytest

from sandbox import EngagementRates
from sandbox.engagement import Turn, plan

RATES = EngagementRates(hard_bounce=0.1, soft_bounce=0.05, complaint=0.02, unsubscribe=0.03, open=0.5, click=0.4)
PEOPLE = [f"person{n}@example.com" for n in range(10_000)]


def life(address: str, *, opens: bool = True, clicks: bool = True, seed: int = 1) -> tuple[Turn, ...]:
    """The plan of one address."""
    return plan(address, seed, RATES, opens=opens, clicks=clicks)


def test_rates_hold_over_many_addresses() -> None:
    """Shares of bounces, opens, clicks, complaints and unsubscribes come out as configured."""
    counts = Counter(turn.kind for address in PEOPLE for turn in life(address) if turn.first)
    delivered = counts["Delivery"]
    assert delivered + counts["HardBounce"] + counts["SoftBounce"] == len(PEOPLE)
    assert counts["HardBounce"] / len(PEOPLE) == pytest.approx(0.1, abs=0.02)
    assert counts["SoftBounce"] / len(PEOPLE) == pytest.approx(0.05, abs=0.02)
    assert counts["Open"] / delivered == pytest.approx(0.5, abs=0.03)
    assert counts["Click"] / counts["Open"] == pytest.approx(0.4, abs=0.03)
    assert counts["SpamComplaint"] / delivered == pytest.approx(0.02, abs=0.01)
    assert counts["SubscriptionChange"] / delivered == pytest.approx(0.03, abs=0.01)


def test_delays_are_believable() -> None:
    """A delivery takes 0.3 to 3 seconds, an opening about 20 on average, and nothing happens before its cause."""
    turns = [turn for address in PEOPLE for turn in life(address)]
    assert all(0.3 <= turn.delay <= 3.0 for turn in turns if turn.kind in {"Delivery", "HardBounce"})
    openings = [turn.delay for turn in turns if turn.kind == "Open" and turn.first]
    assert sum(openings) / len(openings) == pytest.approx(20.5, abs=1.5)
    assert min(turn.delay for turn in turns) >= 0.3


def test_a_life_depends_on_seed_and_address_alone() -> None:
    """The same pair gives the same plan in whatever case; another seed changes some plans."""
    assert [life(address) for address in PEOPLE[:50]] == [life(address.upper()) for address in PEOPLE[:50]]
    assert [life(address) for address in PEOPLE[:50]] != [life(address, seed=2) for address in PEOPLE[:50]]


def test_tracking_decides_what_is_seen() -> None:
    """Untracked opens and clicks do not show."""
    kinds = {turn.kind for address in PEOPLE for turn in life(address, opens=False, clicks=False)}
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
def test_test_addresses_do_what_they_say(local: str, kinds: list[str]) -> None:
    """Each published test address has its own fixed life."""
    assert [turn.kind for turn in life(f"{local}@bounce-testing.postmarkapp.com")] == kinds
    assert [turn.kind for turn in life("test@blackhole.postmarkapp.com")] == ["Delivery"]
