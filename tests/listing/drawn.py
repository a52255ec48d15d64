"""Filter trees drawn by Hypothesis, and their evaluation in plain Python over plain values."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from core.listing.conditions import (
    And,
    Condition,
    Contains,
    Eq,
    Exists,
    HasAll,
    HasAny,
    In,
    Not,
    Or,
    Range,
    StartsWith,
)
from models.contact_events import ContactEventKind
from models.contacts import ContactStatus

START = datetime.now(UTC) - timedelta(days=2)
MOMENTS = [START + timedelta(days=days) for days in range(5)]
WORDS = ["", "a", "ab", "b%", "B_", "ba\\", "Ä"]
TAGS = ["red", "Red", "blue", "gold"]
KINDS = [ContactEventKind.OPENED, ContactEventKind.CLICKED, ContactEventKind.BOUNCED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of a drawn contact."""

    kind: ContactEventKind
    at: datetime


@dataclass(slots=True, kw_only=True)
class Person:
    """A drawn contact."""

    id: UUID
    status: ContactStatus
    name: str | None
    zone: str | None
    created_at: datetime
    left_at: datetime | None
    tags: set[str] = field(default_factory=set)
    lists: set[UUID] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


VALUES: dict[str, Callable[[Person], object]] = {
    "status": lambda person: person.status,
    "name": lambda person: person.name,
    "zone": lambda person: person.zone,
    "createdAt": lambda person: person.created_at,
    "leftAt": lambda person: person.left_at,
    "left": lambda person: person.left_at is not None,
}
SETS: dict[str, Callable[[Person], set[object]]] = {
    "tags": lambda person: set(person.tags),
    "lists": lambda person: set(person.lists),
}


def matches(condition: Condition, person: Person) -> bool:  # noqa: PLR0911 - one line for each kind of condition
    """Whether a person matches a condition: two-valued; a condition on a missing value is false."""
    match condition:
        case And(conditions):
            return all(matches(each, person) for each in conditions)
        case Or(conditions):
            return any(matches(each, person) for each in conditions)
        case Not(inner):
            return not matches(inner, person)
        case HasAny(name, values):
            return not SETS[name](person).isdisjoint(values)
        case HasAll(name, values):
            return SETS[name](person).issuperset(values)
        case Exists(_, where):
            return any(event_matches(where, event) for event in person.events)
    return value_matches(condition, VALUES[condition.field](person))


def event_matches(condition: Condition, event: Event) -> bool:
    """Whether an event matches a condition."""
    match condition:
        case And(conditions):
            return all(event_matches(each, event) for each in conditions)
        case Or(conditions):
            return any(event_matches(each, event) for each in conditions)
        case Not(inner):
            return not event_matches(inner, event)
        case Range():
            return value_matches(condition, event.at)
    return value_matches(condition, event.kind)


def value_matches(condition: Condition, value: object) -> bool:
    """Whether a value matches a condition on it."""
    match condition:
        case Eq(_, wanted):
            return value is not None and value == wanted
        case In(_, wanted):
            return value is not None and value in wanted
        case StartsWith(_, text):
            return isinstance(value, str) and value.startswith(text)
        case Contains(_, text):
            return isinstance(value, str) and text in value
        case Range(gte=gte, gt=gt, lte=lte, lt=lt):
            bounds = [each for each in (gte, gt, lte, lt) if each is not None]
            if not bounds:
                return True
            return isinstance(value, datetime) and all(
                not isinstance(bound, datetime) or within
                for bound, within in (
                    (gte, isinstance(gte, datetime) and value >= gte),
                    (gt, isinstance(gt, datetime) and value > gt),
                    (lte, isinstance(lte, datetime) and value <= lte),
                    (lt, isinstance(lt, datetime) and value < lt),
                )
            )
    raise AssertionError(condition)


moments = st.sampled_from(MOMENTS)
words = st.sampled_from(WORDS)
bounds = st.fixed_dictionaries({}, optional=dict.fromkeys(("gte", "gt", "lte", "lt"), moments))


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """Up to three values, as in a condition."""
    return st.lists(values, max_size=3, unique=True).map(tuple)


def nested(leaves: st.SearchStrategy[Condition], max_leaves: int) -> st.SearchStrategy[Condition]:
    """Trees with these leaves."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda each: And(tuple(each)))
            | st.lists(inner, max_size=3).map(lambda each: Or(tuple(each)))
            | inner.map(Not)
        ),
        max_leaves=max_leaves,
    )


def ranges(name: str) -> st.SearchStrategy[Condition]:
    """A range of a field's times, open on any side."""
    return bounds.map(lambda given: Range(field=name, **given))


def texts(name: str) -> st.SearchStrategy[Condition]:
    """Conditions on a text."""
    return words.flatmap(lambda word: st.sampled_from([Eq(name, word), StartsWith(name, word), Contains(name, word)]))


statuses = st.sampled_from(list(ContactStatus))
kinds = st.sampled_from(KINDS)
event_conditions = nested(
    kinds.map(lambda kind: Eq("kind", kind)) | some(kinds).map(lambda each: In("kind", each)) | ranges("occurredAt"),
    4,
)


def conditions(lists: list[UUID]) -> st.SearchStrategy[Condition]:
    """Trees over all kinds of fields; `lists` are those that people may be members of."""
    sets = st.one_of(
        some(st.sampled_from(TAGS)).map(lambda each: ("tags", each)),
        some(st.sampled_from(lists)).map(lambda each: ("lists", each)),
    ).flatmap(lambda given: st.sampled_from([HasAny(*given), HasAll(*given)]))
    leaves: st.SearchStrategy[Condition] = st.one_of(
        statuses.map(lambda status: Eq("status", status)),
        some(statuses).map(lambda each: In("status", each)),
        texts("name"),
        texts("zone"),
        ranges("createdAt"),
        ranges("leftAt"),
        st.booleans().map(lambda left: Eq("left", left)),
        sets,
        event_conditions.map(lambda where: Exists("events", where)),
    )
    return nested(leaves, 12)


def people(ids: list[UUID], lists: list[UUID]) -> st.SearchStrategy[list[Person]]:
    """One person for each id, with values from the small sets that conditions use."""
    person = st.builds(
        Person,
        id=st.just(UUID(int=0)),
        status=statuses,
        name=st.none() | words,
        zone=st.none() | words,
        created_at=moments,
        left_at=st.none() | moments,
        tags=st.sets(st.sampled_from(TAGS), max_size=3),
        lists=st.sets(st.sampled_from(lists), max_size=2),
        events=st.lists(st.builds(Event, kind=kinds, at=moments), max_size=3),
    )
    return st.lists(person, min_size=len(ids), max_size=len(ids))
