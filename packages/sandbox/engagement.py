"""The simulated events of an accepted message: the same for the same seed and address."""

import hashlib
import math
import struct
from dataclasses import dataclass

from sandbox.config import EngagementRates

BOUNCE_TESTING = "@bounce-testing.postmarkapp.com"
BLACK_HOLE = "@blackhole.postmarkapp.com"
TEST_BOUNCES = {
    "hardbounce": "HardBounce",
    "softbounce": "SoftBounce",
    "transient": "Transient",
    "dnserror": "DnsError",
    "spamnotification": "SpamNotification",
    "blocked": "Blocked",
    "unknown": "Unknown",
    "bademailaddress": "BadEmailAddress",
}
MEAN_OPEN_SECONDS = 20.0
MEAN_CLICK_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """An event `delay` seconds (at pace 1) after the one before."""

    delay: float
    kind: str
    first: bool = True


def plan(address: str, seed: int, rates: EngagementRates, *, opens: bool, clicks: bool) -> tuple[PlannedEvent, ...]:
    """The events of a message to an address, in order. Kinds are bounce types or record types."""
    address = address.lower()
    rolls = _rolls(address, seed)
    delivery = PlannedEvent(0.3 + 2.7 * rolls[0], "Delivery")
    if address.endswith(BLACK_HOLE):
        return (delivery,)
    if address.endswith(BOUNCE_TESTING):
        return _test_events(address.removesuffix(BOUNCE_TESTING), delivery)
    if rolls[1] < rates.hard_bounce:
        return (PlannedEvent(delivery.delay, "HardBounce"),)
    if rolls[1] < rates.hard_bounce + rates.soft_bounce:
        return (PlannedEvent(delivery.delay * 2, "SoftBounce"),)
    return (delivery, *_engagement(rolls, rates, opens=opens, clicks=clicks), *_complaint(rolls, rates))


def _test_events(local: str, delivery: PlannedEvent) -> tuple[PlannedEvent, ...]:
    if local == "spamcomplaint":
        return (delivery, PlannedEvent(1.0, "SpamComplaint"))
    if local == "unsubscribe":
        return (delivery, PlannedEvent(1.0, "SubscriptionChange"))
    return (PlannedEvent(delivery.delay, TEST_BOUNCES.get(local, "HardBounce")),)


def _engagement(rolls: tuple[float, ...], rates: EngagementRates, *, opens: bool, clicks: bool) -> list[PlannedEvent]:
    if rolls[2] >= rates.open:
        return []
    events = [PlannedEvent(_wait(MEAN_OPEN_SECONDS, rolls[3]), "Open")] if opens else []
    if clicks and rolls[4] < rates.click:
        events.append(PlannedEvent(_wait(MEAN_CLICK_SECONDS, rolls[5]), "Click"))
    if opens and rolls[6] < rates.second_open:
        events.append(PlannedEvent(_wait(MEAN_OPEN_SECONDS, rolls[7]), "Open", first=False))
    return events


def _complaint(rolls: tuple[float, ...], rates: EngagementRates) -> list[PlannedEvent]:
    if rolls[8] < rates.complaint:
        return [PlannedEvent(_wait(MEAN_OPEN_SECONDS, rolls[9]), "SpamComplaint")]
    if rolls[8] < rates.complaint + rates.unsubscribe:
        return [PlannedEvent(_wait(MEAN_OPEN_SECONDS, rolls[9]), "SubscriptionChange")]
    return []


def _wait(mean: float, roll: float) -> float:
    return 0.5 - mean * math.log(1 - roll)


def _rolls(address: str, seed: int) -> tuple[float, ...]:
    digest = hashlib.blake2b(f"{seed}|{address}".encode(), digest_size=40).digest()
    return tuple(number / 2**32 for number in struct.unpack("<10I", digest))
