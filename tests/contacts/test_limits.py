"""The exact limits of a contact's fields."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select

from core.errors import ErrorCode, InputErrors, InvalidInput
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEvent
from models.contacts import ContactStatus, ContactTag
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services import lists
from services.contacts import changing, listing, tagging, upserting
from services.contacts.fields import UncheckedFields, check
from services.contacts.upserting import UpsertStatus
from tests import factories
from tests.waiting import blocks_another, until

KIB = 1_024
EMPTY_FIELDS = len('{"a": []}')


def filling(size: int) -> dict[str, object]:
    """Custom fields with so many bytes of JSON, two bytes per character."""
    texts = ["ä" * 900] * 9
    used = EMPTY_FIELDS + len(", ".join(f'"{text}"' for text in texts).encode())
    return {"a": [*texts, "x" * (size - used - len(', ""'))]}


@pytest.mark.parametrize(
    ("field", "most", "more", "code", "path"),
    [
        ("tags", [f"t{n}" for n in range(100)], [f"t{n}" for n in range(101)], ErrorCode.TOO_MANY, ("tags",)),
        ("tags", ["t" * 64], ["t" * 65], ErrorCode.TOO_LONG, ("tags", "0")),
        ("first_name", "n" * 200, "n" * 201, ErrorCode.TOO_LONG, ("firstName",)),
        ("last_name", "n" * 200, "n" * 201, ErrorCode.TOO_LONG, ("lastName",)),
        ("custom_fields", {"a": [1] * 100}, {"a": [1] * 101}, ErrorCode.TOO_MANY, ("customFields", "a")),
        (
            "custom_fields",
            {f"k{n}": n for n in range(100)},
            {f"k{n}": n for n in range(101)},
            ErrorCode.TOO_MANY,
            ("customFields",),
        ),
        ("custom_fields", {"a": "x" * 1_000}, {"a": "x" * 1_001}, ErrorCode.TOO_LONG, ("customFields", "a")),
        ("custom_fields", filling(16 * KIB), filling(16 * KIB + 1), ErrorCode.TOO_LONG, ("customFields",)),
        ("custom_fields", {"a": 2**53 - 1}, {"a": 2**53}, ErrorCode.INVALID, ("customFields", "a")),
        ("custom_fields", {"a" * 64: 1}, {"a" * 65: 1}, ErrorCode.INVALID, ("customFields",)),
    ],
)
def test_a_field_has_an_exact_limit(
    field: str, most: object, more: object, code: ErrorCode, path: tuple[str, ...]
) -> None:
    """The error is at the field."""
    fields, errors = check({field: most}, ("input",))  # type: ignore[misc]
    assert (dict(fields), errors) == ({field: most}, [])
    _, errors = check({field: more}, ("input",))  # type: ignore[misc]
    assert [(error.error_code, error.field) for error in errors] == [(code, ("input", *path))]


async def test_a_contact_has_at_most_100_tags_also_by_an_upsert(runtime: Runtime) -> None:
    """Existing tags count, and adding them again does not."""
    actor = await factories.organization(runtime)
    some: list[UncheckedFields] = [
        {"email": "a@example.com", "tags": [f"t{n}" for n in range(60)]},
        {"email": "a@example.com", "tags": [f"t{n}" for n in range(50, 100)]},
        {"email": "a@example.com", "tags": ["t0", "one more"]},
    ]
    async with runtime.work.begin(actor) as uow:
        results = await upserting.upsert(uow, some, upserting.OnInvalid.SKIP_INVALID)
    assert [result.status for result in results] == [
        UpsertStatus.CREATED,
        UpsertStatus.UPDATED,
        UpsertStatus.INVALID,
    ]
    assert [error.error_code for error in results[2].errors] == [ErrorCode.TOO_MANY]
    tags = await runtime.reads(actor.tenant).rows(select(ContactTag.tag))
    assert {row.tag for row in tags} == {f"t{n}" for n in range(100)}


async def add_tags(uow: UnitOfWork, contact_id: UUID, tags: list[str]) -> None:
    await tagging.add(uow, [contact_id], tags)


async def upsert_tags(uow: UnitOfWork, _: UUID, tags: list[str]) -> None:
    await upserting.upsert(uow, [{"email": "a@example.com", "tags": tags}])


GIVING_TAGS = (add_tags, upsert_tags)


@pytest.mark.parametrize("first", GIVING_TAGS)
@pytest.mark.parametrize("second", GIVING_TAGS)
async def test_a_contact_has_at_most_100_tags_also_by_concurrent_calls(
    runtime: Runtime,
    first: Callable[[UnitOfWork, UUID, list[str]], Awaitable[None]],
    second: Callable[[UnitOfWork, UUID, list[str]], Awaitable[None]],
) -> None:
    """The second call waits for the first and counts its tags."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        contact_id = (await changing.create(uow, {"email": "a@example.com"})).id
    tags = [f"t{n}" for n in range(120)]

    async def give_others() -> None:
        async with runtime.work.begin(actor) as uow:
            await second(uow, contact_id, tags[60:])

    async with runtime.work.begin(actor) as uow:
        await first(uow, contact_id, tags[:60])
        others = asyncio.create_task(give_others())
        await until(partial(blocks_another, runtime, uow))
    with pytest.raises((InvalidInput, InputErrors), match="at most 100 tags"):
        await others
    tags_by_contact = await listing.tags_of(runtime.reads(actor.tenant), [contact_id])
    assert tags_by_contact == {contact_id: sorted(tags[:60])}


async def test_an_upsert_changes_only_what_it_should(runtime: Runtime) -> None:
    """A change has its time, the first spelling of an address stays, and only subscribed contacts get an event."""
    actor = await factories.organization(runtime)
    suppressed = f"{new_id().hex}@example.com"
    reads = runtime.reads(actor.tenant)
    async with runtime.work.begin(actor) as uow:
        suppression = {"organization_id": actor.organization_id, "reason": SuppressionReason.UNSUBSCRIBED}
        await uow.execute(insert(Suppression).values(email_norm=suppressed, **suppression))
    rows: list[UncheckedFields] = [
        {"email": "Ann@example.com"},
        {"email": "ann@example.com", "last_name": "Lee"},
        {"email": suppressed},
    ]
    async with runtime.work.begin(actor) as uow:
        first, again, unsubscribed = [result.contact for result in await upserting.upsert(uow, rows)]
    assert first == again
    assert first is not None
    assert unsubscribed is not None
    assert (first.email, first.last_name, unsubscribed.status) == (
        "Ann@example.com",
        "Lee",
        ContactStatus.UNSUBSCRIBED,
    )
    lines = await reads.rows(select(ContactEvent.contact_id, ContactEvent.kind))
    assert [tuple(line) for line in lines] == [(first.id, "subscribed")]
    async with runtime.work.begin(actor) as uow:
        (same, updated) = await upserting.upsert(
            uow, [{"email": suppressed}, {"email": "ANN@example.com", "last_name": "Ray"}]
        )
    assert same.contact == unsubscribed
    assert updated.contact is not None
    assert (updated.contact.email, updated.contact.last_name) == ("Ann@example.com", "Ray")
    assert updated.contact.updated_at > first.updated_at


async def test_tags_are_counted_the_most_used_first(runtime: Runtime) -> None:
    """Tags with the same number are in alphabetical order."""
    actor = await factories.organization(runtime)
    tags: list[list[str]] = [["d", "b"], ["c", "d"], ["a"]]
    async with runtime.work.begin(actor) as uow:
        for some in tags:
            values: dict[str, Any] = {"email": f"{new_id().hex}@example.com", "tags": some}
            await changing.create(uow, values)  # type: ignore[arg-type]
    counts = await listing.tag_counts(runtime.reads(actor.tenant))
    assert list(counts.items()) == [("d", 2), ("a", 1), ("b", 1), ("c", 1)]


async def test_all_errors_of_a_list_are_reported_at_once(runtime: Runtime) -> None:
    """A name of 100 characters and a description of 1,000 are accepted, one character more is not."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        full = await lists.create(uow, "n" * 100, "d" * 1_000)
        assert (full.name, full.description) == ("n" * 100, "d" * 1_000)
        with pytest.raises(InputErrors) as excinfo:
            await lists.create(uow, "n" * 101, "d" * 1_001)
    assert [(error.error_code, error.field) for error in excinfo.value.errors] == [
        (ErrorCode.TOO_LONG, ("input", "name")),
        (ErrorCode.TOO_LONG, ("input", "description")),
    ]
