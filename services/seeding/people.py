"""Realistic contacts for the demo organization. The same seed gives the same contacts; no address is real."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

_FIRST_NAMES = """
    Ada Amara Ana Anders Ben Beatriz Bilal Carla Chen Chidi Clara Daniel Dina Elif Emma Erik Fatima Felix Gabriela
    Grace Hana Hugo Ines Ivan Jamal Jana Jonas Julia Kofi Lara Leila Liam Linh Lucas Maria Mei Mila Nadia
    Nils Noor Olga Omar Paula Pedro Priya Rafael Rosa Sana Sofia Stefan Tariq Tessa Tomas Uma Viktor Wei Yara Yuki Zoe
""".split()
_LAST_NAMES = """
    Almeida Andersson Bauer Bianchi Brown Chen Costa Diaz Dubois Eze Fischer Garcia Haddad Hansen Ito Ivanova Jansen
    Jones Kaya Keller Khan Kim Kowalski Lee Lopez Martin Mensah Meyer Moreau Murphy Nakamura Nguyen Novak Okafor Olsen
    Patel Pereira Popescu Rahman Romano Rossi Santos Schmidt Silva Singh Smith Suzuki Taylor Varga Wang Weber Yilmaz
""".split()
# City, time zone, relative frequency.
_PLACES = (
    ("Berlin", "Europe/Berlin", 18),
    ("London", "Europe/London", 16),
    ("Paris", "Europe/Paris", 10),
    ("New York", "America/New_York", 18),
    ("Chicago", "America/Chicago", 8),
    ("San Francisco", "America/Los_Angeles", 10),
    ("São Paulo", "America/Sao_Paulo", 7),
    ("Lagos", "Africa/Lagos", 4),
    ("Mumbai", "Asia/Kolkata", 6),
    ("Tokyo", "Asia/Tokyo", 5),
    ("Sydney", "Australia/Sydney", 4),
)
_PLANS = (("free", 55), ("starter", 30), ("pro", 12), ("enterprise", 3))
_COMPANIES = ("acorn", "bluebird", "cedar", "driftwood", "ember", "fjord", "granite", "harbour", "juniper", "kestrel")
# Tag, share of the contacts that carry it.
_TAGS = (("newsletter", 0.8), ("customer", 0.45), ("trial", 0.2), ("webinar-2026", 0.15), ("vip", 0.05))


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoContact:
    """A fictitious contact, who subscribed `days_ago`."""

    email: str
    first_name: str
    last_name: str
    time_zone: str
    custom_fields: dict[str, object]
    tags: tuple[str, ...]
    days_ago: int


def demo_contacts(count: int, random: Random) -> Iterator[DemoContact]:
    """Distinct contacts at reserved example domains (RFC 2606)."""
    for number in range(count):
        first, last = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
        company = random.choice(_COMPANIES)
        city, zone, _ = random.choices(_PLACES, weights=[weight for *_, weight in _PLACES])[0]
        plan, _ = random.choices(_PLANS, weights=[weight for _, weight in _PLANS])[0]
        yield DemoContact(
            email=f"{first}.{last}.{number}@{company}.example".lower(),
            first_name=first,
            last_name=last,
            time_zone=zone,
            custom_fields={"city": city, "plan": plan, "company": company},
            tags=tuple(tag for tag, share in _TAGS if random.random() < share),
            days_ago=random.randint(12, 700),
        )
