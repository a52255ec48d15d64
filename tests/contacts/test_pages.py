import importlib
import pkgutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import insert

import services
from core.access.actor import Actor
from core.errors import InvalidInput
from core.ids import encode_global_id, new_id
from core.listing import cursors
from core.listing.cursors import CursorInvalid
from core.listing.filters import parse_filter
from core.listing.listing import Listing
from core.listing.orders import Order
from core.listing.pages import PageRequest, page_request
from core.texts import FORBIDDEN_IN_PROSE
from models.contacts import Contact, ContactStatus, ContactTag
from runtime import Runtime
from services.contacts import listing
from services.contacts.listing import CONTACTS, ContactRow
from tests import factories

CREATED_AT, UPDATED_AT, EMAIL, LAST_NAME = (
    CONTACTS.orders[name] for name in ("created_at", "updated_at", "email", "last_name")
)
ORDERS: list[Order[Any]] = [
    replace(order, descending=descending) for order in CONTACTS.orders.values() for descending in (False, True)
]
NAMES = [None, "", "Zuse", "zuse", "Ångström", "O'Neil", "%", "_", "\\", "de Vries", "李", "a" * 200]
START = datetime(2026, 1, 1, tzinfo=UTC)
TIMED = [order for order in ORDERS if order.keys is cursors.TIMES]
WORDED = [order for order in ORDERS if order.keys is cursors.TEXTS]
AN_ID = new_id()
EPOCH = date(1970, 1, 1)
FIRST_DAY, LAST_DAY = (date.min - EPOCH).days, (date.max - EPOCH).days
MAX_TEXT_BYTES = cursors.MAX_CURSOR_LENGTH // 4 * 3 - cursors.TAG_BYTES - cursors.ID_BYTES


@pytest.fixture(scope="module")
async def many_contacts(runtime: Runtime) -> Actor:
    """37 contacts, many with the same times and names, as after a bulk import."""
    actor = await factories.organization(runtime)
    rows: list[dict[str, Any]] = [
        {
            "id": new_id(),
            "organization_id": actor.organization_id,
            "email": f"Person{number}@example.com",
            "email_norm": f"person{number}@example.com",
            "first_name": "Ada" if number % 2 else None,
            "last_name": NAMES[number % len(NAMES)],
            "status": list(ContactStatus)[number % 5],
            "created_at": START + timedelta(microseconds=number % 3),
            "updated_at": START,
        }
        for number in range(37)
    ]
    async with runtime.work.begin(actor) as uow:
        await uow.execute(insert(Contact), rows)
        await uow.execute(
            insert(ContactTag),
            [
                {"organization_id": actor.organization_id, "contact_id": row["id"], "tag": tag}
                for number, row in enumerate(rows)
                for tag in (("even",) if number % 2 == 0 else ("odd", "Odd"))
            ],
        )
    return actor


async def walk(runtime: Runtime, actor: Actor, order: Order[Any], size: int, *, backward: bool) -> list[ContactRow]:
    """All rows, page by page; checks `hasNextPage` and `hasPreviousPage` on the way."""
    reads = runtime.reads(actor.tenant)
    rows: list[ContactRow] = []
    request = PageRequest(size=size, backward=backward)
    while True:
        page = await CONTACTS.page(reads, request, order)
        rows = [*page.rows, *rows] if backward else [*rows, *page.rows]
        assert (page.has_next if backward else page.has_previous) is (len(rows) > len(page.rows))
        if not (page.has_previous if backward else page.has_next):
            return rows
        assert len(page.rows) == size
        request = replace(request, before=page.cursors[0]) if backward else replace(request, after=page.cursors[-1])


@given(order=st.sampled_from(ORDERS), size=st.integers(1, 40), backward=st.booleans())
async def test_paging_in_any_order_reads_each_row_once(
    runtime: Runtime, many_contacts: Actor, *, order: Order[Any], size: int, backward: bool
) -> None:
    """Forward or backward, with any page size: each contact once, in the requested order."""
    rows = await walk(runtime, many_contacts, order, size, backward=backward)
    expected = sorted(rows, key=lambda row: (getattr(row, order.key.key), str(row.id)), reverse=order.descending)
    assert rows == expected
    assert len({row.id for row in rows}) == len(rows) == 37


@given(
    order=st.sampled_from(ORDERS),
    bounds=st.tuples(st.integers(0, 36), st.integers(0, 36)),
    size=st.integers(1, 40),
    backward=st.booleans(),
)
async def test_a_page_between_two_cursors_has_the_rows_between(
    runtime: Runtime, many_contacts: Actor, *, order: Order[Any], bounds: tuple[int, int], size: int, backward: bool
) -> None:
    """`after` and `before` together select a range of the list, and the page is its start or its end."""
    every = await walk(runtime, many_contacts, order, 100, backward=False)
    low, high = bounds
    after, before = order.cursors([every[i] for i in bounds])
    request = PageRequest(size=size, backward=backward, after=after, before=before)
    page = await CONTACTS.page(runtime.reads(many_contacts.tenant), request, order)
    between = every[low + 1 : high]
    assert list(page.rows) == (between[-size:] if backward else between[:size])


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused_as_a_cursor(text: str) -> None:
    """Any text is either refused, or was a cursor."""
    for order in ORDERS:
        with pytest.raises(CursorInvalid):
            order.position(text, "after")


def forged_cursor(order: Order[Any], key: bytes) -> str:
    """A cursor of the order, with any key."""
    return urlsafe_b64encode(order.tag + key + AN_ID.bytes).decode()


def read_or_refused(order: Order[Any], key: bytes) -> object:
    """The value of a forged cursor; None if it is refused."""
    try:
        return order.position(forged_cursor(order, key), "before")
    except CursorInvalid:
        return None


@given(st.sampled_from(ORDERS), st.binary(max_size=40) | st.binary(min_size=12, max_size=12))
@example(CREATED_AT, b"")
@example(EMAIL, b"\xff")
@example(EMAIL, "\ud800".encode(errors="surrogatepass"))
def test_a_forged_cursor_reads_as_typed_values_or_not_at_all(order: Order[Any], key: bytes) -> None:
    """A valid encoding with another key either gives a key of the right type and the id, or is refused."""
    position = read_or_refused(order, key)
    kind = datetime if order in TIMED else str
    assert position is None or (
        isinstance(position, tuple) and isinstance(position[0], kind) and position[1] == AN_ID
    )
    if not key.startswith(order.tag):
        with pytest.raises(CursorInvalid):
            order.position(urlsafe_b64encode(key + AN_ID.bytes).decode(), "before")


@given(
    st.sampled_from(TIMED),
    st.integers(FIRST_DAY, LAST_DAY) | st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 86_399) | st.integers(0, 2**32 - 1),
    st.integers(0, 999_999) | st.integers(0, 2**32 - 1),
)
@example(CREATED_AT, FIRST_DAY, 0, 0)
@example(CREATED_AT, FIRST_DAY - 1, 86_399, 999_999)
@example(CREATED_AT, LAST_DAY, 86_399, 999_999)
@example(CREATED_AT, LAST_DAY + 1, 0, 0)
@example(CREATED_AT, -(2**31), 0, 0)
@example(CREATED_AT, 2**31 - 1, 86_399, 999_999)
@example(CREATED_AT, 0, 86_400, 0)
@example(CREATED_AT, 0, 0, 1_000_000)
def test_a_forged_time_is_accepted_if_it_exists(
    order: Order[Any], days: int, seconds: int, microseconds: int
) -> None:
    """From the first day of the calendar to the last; anything beyond, or an invalid time of day, is refused."""
    position = read_or_refused(order, cursors.TimeKeys.KEY.pack(days, seconds, microseconds))
    if FIRST_DAY <= days <= LAST_DAY and seconds < 86_400 and microseconds < 1_000_000:
        day = datetime.combine(EPOCH + timedelta(days), time.min, UTC)
        assert position == (day + timedelta(seconds=seconds, microseconds=microseconds), AN_ID)
    else:
        assert position is None


@given(st.sampled_from(WORDED), st.text(max_size=200))
@example(EMAIL, "")
@example(EMAIL, "a\0b")
@example(LAST_NAME, "李 \U0001f600")
@example(EMAIL, "a" * MAX_TEXT_BYTES)
@example(EMAIL, "a" * (MAX_TEXT_BYTES + 1))
def test_a_forged_text_is_accepted_if_it_can_be_stored(order: Order[Any], text: str) -> None:
    """Any text without NUL and other control characters that is not too long for a cursor."""
    position = read_or_refused(order, text.encode())
    if len(text.encode()) > MAX_TEXT_BYTES or FORBIDDEN_IN_PROSE.search(text):
        assert position is None
    else:
        assert "\0" not in text
        assert position == (text, AN_ID)


@pytest.mark.parametrize(
    ("order", "key"),
    [
        (CREATED_AT, cursors.TimeKeys.KEY.pack(FIRST_DAY, 0, 0)),
        (UPDATED_AT, cursors.TimeKeys.KEY.pack(LAST_DAY, 86_399, 999_999)),
        (EMAIL, b""),
        (EMAIL, b"a" * MAX_TEXT_BYTES),
        (LAST_NAME, "\U0010ffff\n%\\".encode()),
    ],
    ids=["first moment", "last moment", "no text", "longest text", "odd text"],
)
async def test_any_valid_cursor_can_be_queried(
    runtime: Runtime, many_contacts: Actor, order: Order[Any], key: bytes
) -> None:
    """The database accepts it: each row is on one side of it or on the other."""
    reads = runtime.reads(many_contacts.tenant)
    cursor = forged_cursor(order, key)
    after = await CONTACTS.page(reads, PageRequest(size=100, after=cursor), order)
    before = await CONTACTS.page(reads, PageRequest(size=100, backward=True, before=cursor), order)
    assert len(after.rows) + len(before.rows) == 37


class Row(NamedTuple):
    """A row of a list."""

    id: UUID
    created_at: datetime
    email_norm: str


@given(
    st.lists(st.datetimes(timezones=st.just(UTC)), max_size=5),
    st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=30), min_size=5, max_size=5),
)
def test_a_cursor_can_be_decoded(times: list[datetime], words: list[str]) -> None:
    """To the microsecond and in every language, for one row and for many."""
    rows = [Row(new_id(), time, word) for time, word in zip(times, words, strict=False)]
    for order in (CREATED_AT, EMAIL):
        together, alone = order.cursors(rows), [order.cursors([row])[0] for row in rows]
        assert together == alone
        assert [order.position(text, "after") for text in together] == [order.read(row) for row in rows]


def test_no_two_orders_share_a_tag() -> None:
    """A cursor of one list is invalid for another."""
    modules = [importlib.import_module(each.name) for each in pkgutil.walk_packages(services.__path__, "services.")]
    listings = {value for module in modules for value in vars(module).values() if isinstance(value, Listing)}
    keys = {order.key: order.tag for each in listings for order in (each.order, *each.orders.values())}
    assert len(set(keys.values())) == len(keys) > 8


async def test_a_cursor_of_another_order_or_tampered_with_is_refused(runtime: Runtime, many_contacts: Actor) -> None:
    """It is never decoded as another position."""
    reads = runtime.reads(many_contacts.tenant)
    page = await CONTACTS.page(reads, page_request(first=1), CREATED_AT)
    [cursor] = page.cursors
    with pytest.raises(CursorInvalid):
        await CONTACTS.page(reads, page_request(after=cursor), EMAIL)
    whole = urlsafe_b64decode(cursor)
    for forged in (whole[:-1], whole + b"x", whole[1:], b"", b"\0" * len(whole)):
        with pytest.raises(CursorInvalid):
            await CONTACTS.page(reads, page_request(after=urlsafe_b64encode(forged).decode() or "="), CREATED_AT)
    for text in (cursor + "=", cursor + "\n", cursor[:-1], cursor.swapcase(), "é"):
        with pytest.raises(CursorInvalid):
            await CONTACTS.page(reads, page_request(after=text), CREATED_AT)


@pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"last": -1}, {"first": 1, "last": 1}], ids=str)
def test_a_page_has_1_to_100_rows(arguments: dict[str, int]) -> None:
    """Other sizes, and `first` with `last`, are refused."""
    with pytest.raises(InvalidInput):
        page_request(**arguments)  # type: ignore[arg-type]


def test_an_empty_cursor_is_none() -> None:
    """A client that starts with an empty text gets the first page, or with `last` the last one."""
    assert page_request(first=2, after="", before="") == page_request(first=2)
    assert page_request(last=2, after="", before="") == page_request(last=2)


MOMENT = START + timedelta(microseconds=1)
FILTERS: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
    ({"status": {"eq": "bounced"}}, lambda number: number % 5 == 3),
    ({"status": {"in": ["bounced", "pending"]}}, lambda number: number % 5 in {1, 3}),
    ({"status": {"eq": "bounced", "in": ["pending"]}}, lambda _: False),
    ({"status": {"in": []}}, lambda _: False),
    ({"tags": {"hasAny": ["even", "Odd"]}}, lambda _: True),
    ({"tags": {"hasAny": ["Even"]}}, lambda _: False),
    ({"tags": {"hasAny": []}}, lambda _: False),
    ({"tags": {"hasAll": ["odd", "Odd"]}}, lambda number: number % 2 == 1),
    ({"tags": {"hasAll": ["odd", "even"]}}, lambda _: False),
    ({"tags": {"hasAll": []}}, lambda _: True),
    ({"tags": {"hasNone": ["odd"]}}, lambda number: number % 2 == 0),
    ({"tags": {"hasNone": []}}, lambda _: True),
    ({"listIds": [encode_global_id("List", new_id())]}, lambda _: False),
    ({"listIds": {"hasAll": ["no id"]}}, lambda _: False),
    ({"listIds": {"hasNone": ["no id"]}}, lambda _: True),
    ({"email": {"eq": " PERSON7@example.com"}}, lambda number: number == 7),
    ({"email": {"startsWith": "person1"}}, lambda number: str(number).startswith("1")),
    ({"email": {"contains": "3@EXAMPLE"}}, lambda number: number % 10 == 3),
    ({"email": {"contains": "%"}}, lambda _: False),
    ({"email": {"contains": "_"}}, lambda _: False),
    ({"createdAt": {"gte": MOMENT}}, lambda number: number % 3 >= 1),
    ({"createdAt": {"gt": MOMENT}}, lambda number: number % 3 > 1),
    ({"createdAt": {"lte": MOMENT}}, lambda number: number % 3 <= 1),
    ({"createdAt": {"lt": MOMENT}}, lambda number: number % 3 < 1),
    ({"createdAt": {"gte": MOMENT, "lt": MOMENT + timedelta(microseconds=1)}}, lambda number: number % 3 == 1),
    ({"not": {"tags": {"hasAny": ["odd"]}}}, lambda number: number % 2 == 0),
    ({"or": []}, lambda _: False),
    ({"and": []}, lambda _: True),
    (
        {"or": [{"email": {"eq": "person1@example.com"}}, {"email": {"eq": "person2@example.com"}}]},
        lambda number: number in {1, 2},
    ),
    (
        {"tags": {"hasAny": ["odd"]}, "and": [{"email": {"startsWith": "person1"}}]},
        lambda number: number % 2 == 1 and str(number).startswith("1"),
    ),
]


@pytest.mark.parametrize(("given_filter", "expected"), FILTERS, ids=range(len(FILTERS)))
async def test_a_filter_gives_the_same_as_python(
    runtime: Runtime, many_contacts: Actor, given_filter: dict[str, Any], expected: Callable[[int], bool]
) -> None:
    """Each condition alone and nested, compared with the same in Python; the count agrees with the list."""
    reads, condition = runtime.reads(many_contacts.tenant), parse_filter(given_filter, CONTACTS.fields)
    page = await CONTACTS.page(reads, page_request(first=100), condition=condition)
    numbers = {int(row.email.removeprefix("Person").removesuffix("@example.com")) for row in page.rows}
    assert numbers == {number for number in range(37) if expected(number)}
    assert await CONTACTS.count(reads, condition) == len(numbers)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("zuse", 6),
        ("ÅNGSTRÖM", 3),
        ("ada ångs", 0),
        ("person12@", 1),
        ("vries person9@", 1),
        ("%", 3),
        ("_", 3),
        ("\\", 3),
        ("李", 3),
        ("   ", 37),
        ("nobody", 0),
    ],
)
async def test_a_search_finds_every_word_in_names_and_address(
    runtime: Runtime, many_contacts: Actor, search: str, expected: int
) -> None:
    """Case-insensitively, and with wildcards of LIKE taken literally."""
    condition = listing.search_condition(search)
    assert await CONTACTS.count(runtime.reads(many_contacts.tenant), condition) == expected
