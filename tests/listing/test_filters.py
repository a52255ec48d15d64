"""Filters: the compiled SQL agrees with the condition for any rows; input is limited and validated."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select
from strawberry.types.base import StrawberryList, StrawberryOptional, get_object_definition
from strawberry.utils.str_converters import to_camel_case

from core.access.actor import Actor
from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.listing import fields
from core.listing.conditions import EVERYTHING, And, Condition, Eq, Exists, HasAny, Not, Or, Range, all_of
from core.listing.fields import Fields, compile_condition
from core.listing.filters import MAX_DEPTH, MAX_FILTERS, parse_filter
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.lists import ContactList, ListMembership
from resolvers.listing import parse
from runtime import Runtime
from schema.campaigns.listing import CampaignFilter, CampaignNameFilter
from schema.connections import DateTimeFilter, TextFilter
from schema.contacts import ContactFilter
from schema.contacts.filtering import ContactStatusFilter
from services.campaigns.listing import CAMPAIGNS
from services.contacts.listing import CONTACTS
from tests import factories
from tests.listing.drawn import Person, conditions, matches, people

FIELDS = CONTACTS.fields
HOW_MANY = 12
IDS = [new_id() for _ in range(HOW_MANY)]
LISTS = [new_id() for _ in range(2)]
DRAWN: Fields = {
    "status": CONTACTS.fields["status"],
    "name": fields.TextField(column=Contact.first_name, max_length=200),
    "zone": fields.TextField(column=Contact.time_zone, max_length=200),
    "createdAt": CONTACTS.fields["createdAt"],
    "leftAt": fields.TimeField(Contact.unsubscribed_at),
    "left": fields.PresenceField(Contact.unsubscribed_at),
    "tags": CONTACTS.fields["tags"],
    "lists": CONTACTS.fields["listIds"],
    "events": CONTACTS.fields["events"],
}


@pytest.fixture(scope="module")
async def owner(runtime: Runtime) -> Actor:
    """An organization with two lists."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        own = {"organization_id": actor.organization_id}
        rows = [{**own, "id": list_id, "name": f"List {number}"} for number, list_id in enumerate(LISTS)]
        await uow.execute(insert(ContactList), rows)
    return actor


async def replace_people(uow: UnitOfWork, people: Sequence[Person]) -> None:
    """Replace all contacts by the drawn people."""
    own = {"organization_id": uow.tenant.organization_id}
    await uow.execute(delete(ContactEvent))
    await uow.execute(delete(Contact))
    rows: list[dict[str, Any]] = [
        {
            **own,
            "id": person.id,
            "email": f"{person.id}@example.com",
            "email_norm": f"{person.id}@example.com",
            "first_name": person.name,
            "time_zone": person.zone,
            "status": person.status,
            "created_at": person.created_at,
            "unsubscribed_at": person.left_at,
        }
        for person in people
    ]
    await uow.execute(insert(Contact), rows)
    tags = [{**own, "contact_id": person.id, "tag": tag} for person in people for tag in person.tags]
    lists = [{**own, "contact_id": person.id, "list_id": list_id} for person in people for list_id in person.lists]
    events = [
        {
            **own,
            "contact_id": person.id,
            "kind": event.kind,
            "occurred_at": event.at,
            "dedupe_key": str(new_id()),
        }
        for person in people
        for event in person.events
    ]
    for table, lines in ((ContactTag, tags), (ListMembership, lists), (ContactEvent, events)):
        if lines:
            await uow.execute(insert(table), lines)


@given(drawn_people=people(IDS, LISTS), trees=st.lists(conditions(LISTS), min_size=1, max_size=6))
async def test_sql_finds_the_rows_that_plain_python_finds(
    runtime: Runtime, owner: Actor, *, drawn_people: list[Person], trees: list[Condition]
) -> None:
    """For any tree and any rows; the negation finds all other rows, including those with NULL."""
    for person, id_ in zip(drawn_people, IDS, strict=True):
        person.id = id_
    async with runtime.work.begin(owner) as uow:
        await replace_people(uow, drawn_people)
    reads = runtime.reads(owner.tenant)
    for tree in trees:
        expected = {person.id for person in drawn_people if matches(tree, person)}
        for condition, expected_ids in ((tree, expected), (Not(tree), set(IDS) - expected)):
            rows = await reads.rows(select(Contact.id).where(compile_condition(condition, DRAWN)))
            assert {row[0] for row in rows} == expected_ids


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Eq("name", "Ada"), {1}),
        (Not(Eq("name", "Ada")), {0, 2}),
        (Not(Not(Eq("name", "Ada"))), {1}),
        (Not(And((Eq("name", "Ada"), Eq("status", ContactStatus.SUBSCRIBED)))), {0, 2}),
        (Or((Eq("name", "Ada"), Not(Eq("name", "Ada")))), {0, 1, 2}),
        (Exists("events"), {2}),
        (Not(Exists("events", Eq("kind", ContactEventKind.OPENED))), {0, 1}),
    ],
    ids=str,
)
async def test_a_condition_on_a_missing_value_is_false_and_its_negation_true(
    runtime: Runtime, condition: Condition, expected: set[int]
) -> None:
    """For three people: without a name, named Ada, and named Bob, who has opened a message."""
    actor = await factories.organization(runtime)
    own = {"organization_id": actor.organization_id}
    ids = [new_id() for _ in range(3)]
    async with runtime.work.begin(actor) as uow:
        rows = [
            {**own, "id": id_, "email": f"{id_}@example.com", "email_norm": f"{id_}@example.com", "first_name": name}
            for id_, name in zip(ids, (None, "Ada", "Bob"), strict=True)
        ]
        await uow.execute(insert(Contact), rows)
        event = {**own, "contact_id": ids[2], "kind": ContactEventKind.OPENED, "dedupe_key": "opened"}
        await uow.execute(insert(ContactEvent).values(**event, occurred_at=factories.NOW))
    rows_found = await runtime.reads(actor.tenant).rows(select(Contact.id).where(compile_condition(condition, DRAWN)))
    assert {row[0] for row in rows_found} == {ids[number] for number in expected}


def test_a_filter_on_events_is_parsed_from_plain_values() -> None:
    """A filter that the API does not offer yet: a contact's events of a kind since a time."""
    moment = factories.NOW
    given_filter = {"not": {"events": {"kind": {"eq": "opened"}, "occurredAt": {"gte": moment}}}}
    condition = And((Eq("kind", ContactEventKind.OPENED), Range(field="occurredAt", gte=moment)))
    assert parse_filter(given_filter, CONTACTS.fields) == Not(Exists("events", condition))


def test_an_empty_filter_matches_everything() -> None:
    """No filter, an empty one, and all of no filters match every row."""
    for each in (None, ContactFilter(), ContactFilter(and_=[])):
        assert parse(each, CONTACTS.fields) == EVERYTHING
    assert all_of() == all_of(EVERYTHING, EVERYTHING) == EVERYTHING
    assert all_of(EVERYTHING, Or()) == Or()


@pytest.mark.parametrize(
    ("given_input", "field", "suggestion"),
    [
        (
            ContactFilter(status=ContactStatusFilter()),
            ("status",),
            "Set at least one of `eq`, `in`, or leave it out.",
        ),
        (ContactFilter(and_=[ContactFilter()]), ("and",), "Set at least one of `status`, `tags`, "),
        (ContactFilter(not_=ContactFilter(email=TextFilter())), ("not", "email"), "Set at least one of `eq`, "),
        (CampaignFilter(name=CampaignNameFilter()), ("name",), "Set `contains`, or leave it out."),
    ],
)
def test_an_empty_input_inside_a_filter_is_refused(
    given_input: ContactFilter | CampaignFilter, field: tuple[str, ...], suggestion: str
) -> None:
    """A comparison without an operator, and a filter without fields below another: both would match every row."""
    with pytest.raises(InvalidInput, match="without any field") as excinfo:
        parse(given_input, CONTACTS.fields)
    assert (excinfo.value.error_code, excinfo.value.field) == (ErrorCode.REQUIRED, ("filter", *field))
    assert (excinfo.value.suggestion or "").startswith(suggestion)


def test_an_input_is_parsed_to_conditions() -> None:
    """Omitted keys are no conditions, names are the API's, several keys mean AND, values are normalized."""
    tags, ids = fields_input(ContactFilter, "tags"), ["x"]
    given_input = ContactFilter(
        status=ContactStatusFilter(eq=ContactStatus.PENDING),
        tags=tags(has_none=[" gold  club "]),
        list_ids=ids,  # type: ignore[arg-type] # an id is a text
        email=TextFilter(starts_with=" ADA@"),
        created_at=DateTimeFilter(gte=factories.NOW, lt=factories.NOW),  # type: ignore[arg-type] # as read from input
        or_=[ContactFilter(email=TextFilter(eq="Ada@Example.com"))],
    )
    assert parse(given_input, CONTACTS.fields) == And(
        (
            Eq("status", ContactStatus.PENDING),
            Not(HasAny("tags", ("gold club",))),
            HasAny("listIds", ()),
            Range(field="createdAt", gte=factories.NOW, lt=factories.NOW),
            parse_filter({"email": {"startsWith": "ada@"}}, CONTACTS.fields),
            Or((Eq("email", "ada@example.com"),)),
        )
    )


def fields_input(owner_type: type, name: str) -> Any:  # noqa: ANN401 - a class unknown to the type checker
    """The input class of a field of a filter."""
    definition = get_object_definition(owner_type, strict=True)
    field_type = next(field for field in definition.fields if field.python_name == name).type
    return field_type.of_type if isinstance(field_type, StrawberryOptional) else field_type


def nested_filter(depth: int) -> dict[str, Any]:
    """A filter nested to this depth."""
    return {"not": nested_filter(depth - 1)} if depth > 1 else {"status": {"eq": "pending"}}


@pytest.mark.parametrize("word", ["and", "or", "not"])
def test_filters_are_limited_in_depth_and_number(word: str) -> None:
    """Five levels and fifty filters are accepted; one more is refused with a code."""
    inner: Any = {}
    for _ in range(MAX_DEPTH - 1):
        inner = {word: inner if word == "not" else [inner]}
    parse_filter(inner, CONTACTS.fields)
    with pytest.raises(InvalidInput, match="at most 5 levels deep") as excinfo:
        parse_filter({word: inner if word == "not" else [inner]}, CONTACTS.fields)
    assert (excinfo.value.error_code, excinfo.value.field) == (ErrorCode.TOO_MANY, ("filter",))
    wide: list[dict[str, Any]] = [{} for _ in range(MAX_FILTERS - 1)]
    parse_filter({"or": wide}, CONTACTS.fields)
    with pytest.raises(InvalidInput, match="At most 50 filters"):
        parse_filter({"or": [*wide, {}]}, CONTACTS.fields)


@pytest.mark.parametrize(
    ("given_filter", "code", "field"),
    [
        ({"tags": {"hasAll": ["x"] * 101}}, ErrorCode.TOO_MANY, ("filter", "tags")),
        ({"listIds": ["x"] * 101}, ErrorCode.TOO_MANY, ("filter", "listIds")),
        ({"tags": {"hasAny": ["a\0b"]}}, ErrorCode.INVALID, ("filter", "tags")),
        ({"email": {"contains": "a" * 255}}, ErrorCode.TOO_LONG, ("filter", "email")),
        ({"or": [{"email": {"eq": "a\0b"}}]}, ErrorCode.INVALID, ("filter", "email")),
    ],
)
def test_an_invalid_value_is_refused_at_its_field(
    given_filter: Mapping[str, Any], code: ErrorCode, field: tuple[str, ...]
) -> None:
    """Too many values, a text that is too long or has control characters, at any depth."""
    with pytest.raises(InvalidInput) as excinfo:
        parse_filter(given_filter, CONTACTS.fields)
    assert (excinfo.value.error_code, excinfo.value.field) == (code, field)


SAMPLES: dict[object, object] = {str: "x", strawberry.ID: "x", bool: True}


def sample(type_: object) -> Any:  # noqa: ANN401 - of any type
    """A value of a type of input."""
    if isinstance(type_, StrawberryOptional):
        return sample(type_.of_type)
    if isinstance(type_, StrawberryList):
        return [sample(type_.of_type)]
    if members := getattr(type_, "values", None):
        return members[0].value
    return SAMPLES.get(type_, factories.NOW)


@pytest.mark.parametrize(("filter_input", "listing"), [(ContactFilter, CONTACTS), (CampaignFilter, CAMPAIGNS)])
def test_fields_support_every_operator_of_the_schema(filter_input: type, listing: Any) -> None:  # noqa: ANN401 - a listing
    """FIELDS can parse and compile every operator of the filter inputs in the schema."""
    definition = get_object_definition(filter_input, strict=True)
    assert {"and", "or", "not"} <= {field.graphql_name for field in definition.fields}
    operators = 0
    for field in definition.fields:
        name = field.graphql_name or to_camel_case(field.python_name)
        if name in {"and", "or", "not"}:
            continue
        inner = get_object_definition(fields_input(filter_input, field.python_name))
        provided_values = (
            [sample(field.type)]
            if inner is None
            else [{each.graphql_name or to_camel_case(each.python_name): sample(each.type)} for each in inner.fields]
        )
        for value in provided_values:
            condition = parse_filter({name: value}, listing.fields)
            assert condition != EVERYTHING
            compile_condition(condition, listing.fields)
            operators += 1
    assert operators > 6


def test_a_boolean_in_place_of_operators_means_equal() -> None:
    """False is a condition like true; it is not ignored like null."""
    for value in (True, False):
        assert parse_filter({"left": value}, DRAWN) == Eq("left", value)
    for condition in (Range(field="left"), HasAny("left", ())):
        with pytest.raises(TypeError, match="does not support"):
            compile_condition(condition, DRAWN)
    with pytest.raises(TypeError, match="does not support"):
        parse_filter({"left": {"in": []}}, DRAWN)


def test_a_condition_of_another_kind_of_field_raises() -> None:
    """`TypeError` or `KeyError`: it is a bug, not invalid input."""
    for condition in (Eq("createdAt", 1), HasAny("status", ()), Range(field="tags"), Exists("email")):
        with pytest.raises(TypeError, match="does not support"):
            compile_condition(condition, CONTACTS.fields)
    with pytest.raises(TypeError, match="does not support"):
        parse_filter({"status": {"contains": "x"}}, CONTACTS.fields)
    with pytest.raises(KeyError):
        compile_condition(Eq("unknown", UUID(int=0)), CONTACTS.fields)


async def test_the_statement_does_not_grow_with_the_number_of_values(runtime: Runtime, owner: Actor) -> None:
    """A condition on a set is one subquery, so that the largest filter is still quick to build and to plan."""
    tags = [f"tag {number}" for number in range(fields.MAX_VALUES)]
    operators = ("hasAny", "hasAll", "hasNone")

    def statement_of(filters: int, values: list[str]) -> str:
        inner = [{"tags": dict.fromkeys(operators, values)} for _ in range(filters - 1)]
        return str(select(Contact.id).where(compile_condition(parse_filter({"and": inner}, FIELDS), FIELDS)))

    few, many = statement_of(2, tags[:1]), statement_of(2, tags)
    assert few == many
    largest = statement_of(MAX_FILTERS, tags)
    assert len(largest) < MAX_FILTERS * len(few)
    filter_input = {"and": [{"tags": dict.fromkeys(operators, tags)} for _ in range(MAX_FILTERS - 1)]}
    assert await CONTACTS.count(runtime.reads(owner.tenant), parse_filter(filter_input, FIELDS)) == 0
