import asyncio
import json
import random
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import func, select

from core.access.actor import Actor
from core.errors import ErrorCode, InputErrors
from models.contact_events import ContactEvent
from models.contacts import Contact, ContactTag
from runtime import Runtime
from services import lists
from services.contacts import changing
from services.contacts import listing as contact_listing
from services.contacts import tagging as contact_tagging
from services.contacts import upserting as contact_upserting
from services.contacts.fields import UncheckedFields
from services.contacts.listing import CONTACTS
from services.contacts.upserting import OnInvalid, UpsertResult, UpsertStatus
from tests import factories
from tests.effort import count_calls
from tests.properties import examples
from tests.statements import statements


async def upsert(
    runtime: Runtime,
    actor: Actor,
    rows: list[UncheckedFields],
    on_invalid: OnInvalid = OnInvalid.SKIP_INVALID,
) -> list[UpsertResult]:
    async with runtime.work.begin(actor) as uow:
        return await contact_upserting.upsert(uow, rows, on_invalid)


async def test_an_upsert_returns_a_result_for_each_row(runtime: Runtime) -> None:
    """New, changed, unchanged, invalid, and two rows with one address: the later row is merged into the earlier."""
    actor = await factories.organization(runtime)
    already: list[UncheckedFields] = [
        {"email": "old@example.com", "first_name": "Old", "custom_fields": {"a": 1}, "tags": ["x"]},
        {"email": "same@example.com", "tags": ["x"]},
    ]
    await upsert(runtime, actor, already)
    results = await upsert(
        runtime,
        actor,
        [
            {"email": "new@example.com", "first_name": "New", "tags": ["x"]},
            {"email": "OLD@example.com", "last_name": "Age", "custom_fields": {"b": 2}, "tags": ["y"]},
            {"email": "same@example.com", "tags": ["x"]},
            {"email": "nonsense", "first_name": "\x00"},
            {"email": "New@example.com", "last_name": "Comer", "tags": ["x", "y"]},
            {"email": "new@example.com", "last_name": "Comer"},
        ],
    )
    assert [result.status for result in results] == [
        UpsertStatus.CREATED,
        UpsertStatus.UPDATED,
        UpsertStatus.UNCHANGED,
        UpsertStatus.INVALID,
        UpsertStatus.UPDATED,
        UpsertStatus.UNCHANGED,
    ]
    assert [error.field for error in results[3].errors] == [
        ("input", "contacts", "3", "email"),
        ("input", "contacts", "3", "firstName"),
    ]
    new, old = results[0].contact, results[1].contact
    assert new is not None
    assert old is not None
    assert new == results[4].contact == results[5].contact
    assert (new.email, new.first_name, new.last_name) == ("new@example.com", "New", "Comer")
    assert (old.email, old.first_name, old.last_name) == ("old@example.com", "Old", "Age")
    assert old.custom_fields == {"a": 1, "b": 2}
    tags = await contact_listing.tags_of(runtime.reads(actor.tenant), [new.id, old.id])
    assert tags == {new.id: ["x", "y"], old.id: ["x", "y"]}


async def test_one_invalid_row_can_reject_all(runtime: Runtime) -> None:
    """REJECT_ALL reports all invalid rows and changes nothing; also for a row with too many tags."""
    actor = await factories.organization(runtime)
    await upsert(runtime, actor, [{"email": "full@example.com", "tags": [f"t{n}" for n in range(100)]}])
    rows: list[UncheckedFields] = [{"email": "good@example.com"}, {"email": "bad"}, {"email": ""}]
    with pytest.raises(InputErrors) as excinfo:
        await upsert(runtime, actor, rows, OnInvalid.REJECT_ALL)
    assert [error.field[2] for error in excinfo.value.errors] == ["1", "2"]
    crowded: list[UncheckedFields] = [{"email": "good@example.com"}, {"email": "full@example.com", "tags": ["t100"]}]
    with pytest.raises(InputErrors):
        await upsert(runtime, actor, crowded, OnInvalid.REJECT_ALL)
    assert await CONTACTS.count(runtime.reads(actor.tenant)) == 1
    skipped = await upsert(runtime, actor, crowded)
    assert [result.status for result in skipped] == [UpsertStatus.CREATED, UpsertStatus.INVALID]
    with pytest.raises(InputErrors) as too_many:
        await upsert(runtime, actor, [{"email": "a@example.com"}] * 1001)
    assert [error.error_code for error in too_many.value.errors] == [ErrorCode.TOO_MANY]
    assert await upsert(runtime, actor, []) == []


async def test_a_thousand_rows_take_a_handful_of_statements(runtime: Runtime) -> None:
    """Created, repeated, changed: no statement per row, and little CPU time."""
    actor = await factories.organization(runtime)

    def rows(name: str) -> list[UncheckedFields]:
        return [
            {"email": f"p{n}@example.com", "first_name": name, "custom_fields": {"n": n}, "tags": ["a", f"g{n % 7}"]}
            for n in range(1000)
        ]

    for name, status in (("A", UpsertStatus.CREATED), ("A", UpsertStatus.UNCHANGED), ("B", UpsertStatus.UPDATED)):
        with statements(runtime) as queries, count_calls() as effort:
            results = await upsert(runtime, actor, rows(name))
        assert {result.status for result in results} == {status}
        assert len(queries) <= 6  # the last is the audit record
        assert effort.calls < 1_000_000
    counts = await runtime.reads(actor.tenant).rows(
        select(func.count(), select(func.count()).select_from(ContactEvent).scalar_subquery()).select_from(ContactTag)
    )
    assert tuple(counts[0]) == (2000, 1000)


async def test_concurrent_upserts_of_the_same_addresses_neither_deadlock_nor_repeat(runtime: Runtime) -> None:
    """Eight calls with the same hundred addresses in different orders: each row is created by one of them."""
    actor = await factories.organization(runtime)
    emails = [f"p{n}@example.com" for n in range(100)]

    async def one(number: int) -> list[UpsertResult]:
        turned = emails[number * 12 :] + emails[: number * 12]
        ordered = turned if number % 2 else turned[::-1]
        return await upsert(
            runtime, actor, [{"email": email, "first_name": f"N{number}", "tags": ["t"]} for email in ordered]
        )

    results = [result for call in await asyncio.gather(*map(one, range(8))) for result in call]
    created = [result for result in results if result.status is UpsertStatus.CREATED]
    assert len(created) == 100
    assert len({result.contact.id for result in results if result.contact}) == 100
    assert await CONTACTS.count(runtime.reads(actor.tenant)) == 100


ROW = st.fixed_dictionaries(
    {"email": st.sampled_from(["a@example.com", "A@Example.com", "b@example.com", "c@example.com", "bad", ""])},
    optional={
        "first_name": st.sampled_from([None, "", "Ada", " Ada ", "Bob", "\x07"]),
        "custom_fields": st.none()
        | st.dictionaries(st.sampled_from(["x", "y", "0"]), st.sampled_from([None, 1, True, 1.0, [1]]), max_size=2),
        "tags": st.lists(st.sampled_from(["s", "t", "T", " t "]), max_size=2),
        "time_zone": st.sampled_from([None, "Europe/Berlin", "Nowhere"]),
    },
)


async def state(runtime: Runtime, actor: Actor) -> str:
    """All contacts' fields and tags, as JSON, in which 1, 1.0 and true differ."""
    reads = runtime.reads(actor.tenant)
    rows = await reads.rows(
        select(
            Contact.id, Contact.email, Contact.first_name, Contact.custom_fields, Contact.time_zone, Contact.status
        ).order_by(Contact.email_norm)
    )
    tags = await contact_listing.tags_of(reads, [row[0] for row in rows])
    return json.dumps([(*row[1:], tags[row[0]]) for row in rows], sort_keys=True)


@examples(25)
@given(before=st.lists(ROW, max_size=3), rows=st.lists(ROW, max_size=8))
@example(before=[], rows=[{"email": "a@example.com"}, {"email": "a@example.com", "custom_fields": None}])
@example(before=[{"email": "a@example.com"}], rows=[{"email": "a@example.com", "first_name": "Ada"}] * 2)
async def test_rows_in_one_call_do_the_same_as_one_by_one(
    runtime: Runtime, before: list[UncheckedFields], rows: list[UncheckedFields]
) -> None:
    """A call with many rows has the same effects and results as a call for each row."""
    together, apart = await factories.organization(runtime), await factories.organization(runtime)
    for actor in (together, apart):
        async with runtime.work.begin(actor) as uow:
            await contact_upserting.upsert(uow, before, OnInvalid.SKIP_INVALID)
    async with runtime.work.begin(together) as uow:
        at_once = [result.status for result in await contact_upserting.upsert(uow, rows, OnInvalid.SKIP_INVALID)]
    one_by_one = []
    for row in rows:
        async with runtime.work.begin(apart) as uow:
            one_by_one += [
                result.status for result in await contact_upserting.upsert(uow, [row], OnInvalid.SKIP_INVALID)
            ]
    assert at_once == one_by_one
    assert await state(runtime, together) == await state(runtime, apart)


async def test_one_and_true_are_different_values(runtime: Runtime) -> None:
    """A custom field that was 1 and is now true has changed, by an upsert and by a change."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        await contact_upserting.upsert(uow, [{"email": "a@example.com", "custom_fields": {"x": 1}}])
        [result] = await contact_upserting.upsert(uow, [{"email": "a@example.com", "custom_fields": {"x": True}}])
        assert result.contact is not None
        assert (result.status, result.contact.custom_fields["x"] is True) == (UpsertStatus.UPDATED, True)
        row = await changing.change(uow, result.contact.id, {"custom_fields": {"x": 1}})
        assert row.custom_fields["x"] is not True


async def test_bulk_changes_of_the_same_contacts_never_deadlock(runtime: Runtime) -> None:
    """Upserts, tags and lists, each with the contacts in another order: all calls succeed."""
    actor = await factories.organization(runtime)
    emails = [f"p{number}@example.com" for number in range(60)]
    async with runtime.work.begin(actor) as uow:
        news = await lists.create(uow, "News")
        results = await contact_upserting.upsert(uow, [cast("UncheckedFields", {"email": email}) for email in emails])
    ids = [result.contact.id for result in results if result.contact]
    shuffle = random.Random(7).sample  # noqa: S311 - an order that repeats

    async def upserting(number: int) -> None:
        rows: list[UncheckedFields] = [
            {"email": email, "first_name": f"N{number}", "tags": ["t"]} for email in shuffle(emails, 60)
        ]
        async with runtime.work.begin(actor) as uow:
            await contact_upserting.upsert(uow, rows)

    async def tagging(number: int) -> None:
        async with runtime.work.begin(actor) as uow:
            await contact_tagging.add(uow, shuffle(ids, 60), ["t", f"tag {number}"])
        async with runtime.work.begin(actor) as uow:
            await contact_tagging.remove(uow, shuffle(ids, 60), ["t"])

    async def listing(number: int) -> None:
        shuffled = shuffle(ids, 40 + number)
        async with runtime.work.begin(actor) as uow:
            await lists.add_members(uow, [news.id], await contact_tagging.require_all(uow, shuffled))
        async with runtime.work.begin(actor) as uow:
            await lists.remove_members(uow, news.id, await contact_tagging.require_all(uow, shuffled))

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            for work in (upserting, tagging, listing):
                group.create_task(work(number))
    reads = runtime.reads(actor.tenant)
    counts = await contact_listing.tag_counts(reads)
    assert {tag: count for tag, count in counts.items() if tag != "t"} == {f"tag {n}": 60 for n in range(6)}
    assert await lists.member_counts(reads, [news.id]) == {news.id: 0}
    assert len(await reads.rows(select(ContactTag.tag).distinct())) in {6, 7}
