import asyncio
import json
import random
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core.permissions import Principal
from models.contacts import Contact, ContactTag
from services import contacts, lists
from services.contacts import GivenFields, OnInvalid, UpsertStatus
from services.runtime import Runtime
from tests import factories

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


async def state(runtime: Runtime, principal: Principal) -> str:
    """Every contact's own fields and tags, as JSON, where 1, 1.0 and true differ."""
    reads = runtime.reads(principal.tenant)
    rows = await reads.rows(
        select(
            Contact.id, Contact.email, Contact.first_name, Contact.custom_fields, Contact.time_zone, Contact.status
        ).order_by(Contact.email_norm)
    )
    tags = await contacts.tags_of(reads, [row[0] for row in rows])
    return json.dumps([(*row[1:], tags[row[0]]) for row in rows], sort_keys=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(ROW, max_size=3), rows=st.lists(ROW, max_size=8))
async def test_rows_in_one_call_do_what_they_do_one_by_one(
    runtime: Runtime, before: list[GivenFields], rows: list[GivenFields]
) -> None:
    """A call with many rows leaves the same contacts, and says the same of each row, as a call for each."""
    together, apart = await factories.organization(runtime), await factories.organization(runtime)
    for principal in (together, apart):
        async with runtime.work.begin(principal.tenant) as uow:
            await contacts.upsert(uow, before, OnInvalid.SKIP_INVALID)
    async with runtime.work.begin(together.tenant) as uow:
        at_once = [result.status for result in await contacts.upsert(uow, rows, OnInvalid.SKIP_INVALID)]
    one_by_one = []
    for row in rows:
        async with runtime.work.begin(apart.tenant) as uow:
            one_by_one += [result.status for result in await contacts.upsert(uow, [row], OnInvalid.SKIP_INVALID)]
    assert at_once == one_by_one
    assert await state(runtime, together) == await state(runtime, apart)


async def test_one_and_true_are_two_values(runtime: Runtime) -> None:
    """A custom field that was 1 and is now true has changed, by an upsert as by a change."""
    principal = await factories.organization(runtime)
    async with runtime.work.begin(principal.tenant) as uow:
        await contacts.upsert(uow, [{"email": "a@example.com", "custom_fields": {"x": 1}}])
        [result] = await contacts.upsert(uow, [{"email": "a@example.com", "custom_fields": {"x": True}}])
        assert result.contact is not None
        assert (result.status, result.contact.custom_fields["x"] is True) == (UpsertStatus.UPDATED, True)
        row = await contacts.change(uow, result.contact.id, {"custom_fields": {"x": 1}})
        assert row.custom_fields["x"] is not True


async def test_bulk_changes_of_the_same_contacts_never_deadlock(runtime: Runtime) -> None:
    """Upserts, tags given and taken, and lists, each with the contacts in another order: all of them go through."""
    principal = await factories.organization(runtime)
    emails = [f"p{number}@example.com" for number in range(60)]
    async with runtime.work.begin(principal.tenant) as uow:
        news = await lists.create(uow, "News")
        made = await contacts.upsert(uow, [cast("GivenFields", {"email": email}) for email in emails])
    ids = [result.contact.id for result in made if result.contact]
    shuffle = random.Random(7).sample  # noqa: S311 - an order that repeats

    async def upserting(number: int) -> None:
        rows: list[GivenFields] = [
            {"email": email, "first_name": f"N{number}", "tags": ["t"]} for email in shuffle(emails, 60)
        ]
        async with runtime.work.begin(principal.tenant) as uow:
            await contacts.upsert(uow, rows)

    async def tagging(number: int) -> None:
        async with runtime.work.begin(principal.tenant) as uow:
            await contacts.add_tags(uow, shuffle(ids, 60), ["t", f"tag {number}"])
        async with runtime.work.begin(principal.tenant) as uow:
            await contacts.remove_tags(uow, shuffle(ids, 60), ["t"])

    async def listing(number: int) -> None:
        chosen = shuffle(ids, 40 + number)
        async with runtime.work.begin(principal.tenant) as uow:
            await lists.add_members(uow, news.id, await contacts.demand_all(uow, chosen))
        async with runtime.work.begin(principal.tenant) as uow:
            await lists.remove_members(uow, news.id, await contacts.demand_all(uow, chosen))

    async with asyncio.TaskGroup() as group:
        for number in range(6):
            for work in (upserting, tagging, listing):
                group.create_task(work(number))
    reads = runtime.reads(principal.tenant)
    counted = await contacts.tag_counts(reads)
    assert {tag: held for tag, held in counted.items() if tag != "t"} == {f"tag {n}": 60 for n in range(6)}
    assert await lists.member_counts(reads, [news.id]) == {news.id: 0}
    assert len(await reads.rows(select(ContactTag.tag).distinct())) in {6, 7}
