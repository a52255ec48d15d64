import asyncio
from functools import partial

import pytest
from sqlalchemy import insert, select, update

from core.access.actor import Actor
from core.errors import Conflict, ErrorCode, InputErrors, InvalidInput, NotFound, NudgeError
from core.ids import new_id
from core.listing.pages import page_request
from models.contacts import Contact, ContactStatus
from models.suppressions import Suppression, SuppressionReason
from runtime import Runtime
from services import lists
from services.contacts import changing, listing, tagging, upserting
from services.contacts.changing import EmailTaken
from services.contacts.fields import UncheckedFields
from services.contacts.history import EVENTS
from services.contacts.listing import CONTACTS, ContactRow
from tests import factories
from tests.waiting import blocks_another, until


async def create(runtime: Runtime, actor: Actor, values: UncheckedFields) -> ContactRow:
    async with runtime.work.begin(actor) as uow:
        return await changing.create(uow, values)


async def suppress(runtime: Runtime, actor: Actor, email: str, reason: SuppressionReason) -> None:
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Suppression).values(organization_id=actor.organization_id, email_norm=email, reason=reason)
        )


async def tags_of(runtime: Runtime, actor: Actor, row: ContactRow) -> list[str]:
    return (await listing.tags_of(runtime.reads(actor.tenant), [row.id]))[row.id]


async def test_a_contact_is_created_with_all_its_fields(runtime: Runtime) -> None:
    """All values can be read back, normalized: trimmed names, tags without duplicates, an event, a list."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        customers = await lists.create(uow, "Customers")
        contact = await changing.create(
            uow,
            {
                "email": "Ada@Example.com",
                "first_name": "  Ada\ufeff ",
                "last_name": "",
                "custom_fields": {"plan": "pro", "seats": 3, "gone": None},
                "tags": ["vip", " early   bird ", "vip"],
                "time_zone": "Europe/London",
            },
            list_ids=[customers.id],
        )
    reads = runtime.reads(actor.tenant)
    row = await CONTACTS.get(reads, contact.id)
    assert row == contact
    assert (row.email, row.email_norm, row.first_name, row.last_name) == (
        "Ada@example.com",
        "ada@example.com",
        "Ada",
        None,
    )
    assert (row.status, row.time_zone) == ("subscribed", "Europe/London")
    assert row.subscribed_at is not None
    assert row.custom_fields == {"plan": "pro", "seats": 3}
    assert await tags_of(runtime, actor, row) == ["early bird", "vip"]
    assert (await lists.of_contacts(reads, [row.id]))[row.id] == [customers]
    events = (await EVENTS.pages_of(reads, [row.id], page_request()))[row.id]
    assert [event.kind for event in events.rows] == ["subscribed"]


async def test_all_errors_of_a_contact_are_reported_at_once(runtime: Runtime) -> None:
    """Six invalid fields give six errors with their paths, and no contact."""
    actor = await factories.organization(runtime)
    bad: UncheckedFields = {
        "email": "not an address",
        "first_name": "Bell\x07",
        "last_name": "x" * 201,
        "custom_fields": {"1st": 1},
        "tags": ["t" * 65],
        "time_zone": "Berlin",
    }
    with pytest.raises(InputErrors) as excinfo:
        await create(runtime, actor, bad)
    assert {error.field: error.error_code for error in excinfo.value.errors} == {
        ("input", "email"): ErrorCode.INVALID_EMAIL,
        ("input", "firstName"): ErrorCode.INVALID,
        ("input", "lastName"): ErrorCode.TOO_LONG,
        ("input", "customFields"): ErrorCode.INVALID,
        ("input", "tags", "0"): ErrorCode.TOO_LONG,
        ("input", "timeZone"): ErrorCode.INVALID,
    }
    suggestions = {error.field[-1]: error.suggestion for error in excinfo.value.errors}
    assert suggestions["timeZone"] == "Did you mean Europe/Berlin?"
    assert suggestions["firstName"] == "Write it as 'Bell'."
    assert await CONTACTS.count(runtime.reads(actor.tenant)) == 0


HOSTILE = ["\x00", "a\x00b", "\ud800", "\u202egnp.exe", "\x1b[31m", "\x9f", "line\nbreak"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
async def test_hostile_text_is_refused_everywhere(runtime: Runtime, text: str) -> None:
    """Control characters, lone surrogates and direction overrides never reach the database, in any field."""
    actor = await factories.organization(runtime)
    inputs: list[UncheckedFields] = [
        {"email": f"{text}@example.com"},
        {"email": "a@example.com", "first_name": text},
        {"email": "a@example.com", "last_name": text},
        {"email": "a@example.com", "tags": [text]},
        {"email": "a@example.com", "custom_fields": {text: 1}},
        {"email": "a@example.com", "time_zone": text},
    ]
    if text != "line\nbreak":
        inputs.append({"email": "a@example.com", "custom_fields": {"note": ["fine", text]}})
    for each in inputs:
        with pytest.raises(InputErrors):
            await create(runtime, actor, each)
    reads = runtime.reads(actor.tenant)
    with pytest.raises(InvalidInput):
        listing.search_condition(text)
    assert await listing.by_email(reads, f"{text}@example.com") is None


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"nested": 1}},
        {"a": [[1]]},
        {"a": float("inf")},
        {"a": float("nan")},
        {"a": 2**53},
        {"a": 1e20},
        {"a": [-1e20]},
        {"a": "x" * 1001},
        {"a": [1] * 101},
        [1],
        "text",
        {f"k{n}": 1 for n in range(101)},
        {f"k{n}": "é" * 1000 for n in range(9)},
        {"a" * 65: 1},
        {"ключ": 1},
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_custom_fields_are_bounded(runtime: Runtime, value: object) -> None:
    """Nested, too long or too many values, and numbers beyond JavaScript's range, are refused."""
    actor = await factories.organization(runtime)
    with pytest.raises(InputErrors) as excinfo:
        await create(runtime, actor, {"email": "a@example.com", "custom_fields": value})
    assert [error.field[:2] for error in excinfo.value.errors] == [("input", "customFields")]


async def test_an_address_is_unique_in_any_case(runtime: Runtime) -> None:
    """A second contact with an address is refused in the same organization; also by a change."""
    actor, other = await factories.organization(runtime), await factories.organization(runtime)
    first = await create(runtime, actor, {"email": "ada@example.com"})
    await create(runtime, other, {"email": "ada@example.com"})
    with pytest.raises(EmailTaken):
        await create(runtime, actor, {"email": "ADA@example.com"})
    second = await create(runtime, actor, {"email": "bob@example.com"})
    with pytest.raises(EmailTaken):
        async with runtime.work.begin(actor) as uow:
            await changing.change(uow, second.id, {"email": "Ada@example.com"})
    async with runtime.work.begin(actor) as uow:
        assert (await changing.change(uow, first.id, {"email": "ADA@example.com"})).email == "ADA@example.com"


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (SuppressionReason.HARD_BOUNCE, ContactStatus.BOUNCED),
        (SuppressionReason.COMPLAINT, ContactStatus.COMPLAINED),
        (SuppressionReason.UNSUBSCRIBED, ContactStatus.UNSUBSCRIBED),
        (SuppressionReason.PROVIDER, ContactStatus.BOUNCED),
    ],
)
async def test_a_suppressed_address_is_never_subscribed(
    runtime: Runtime, reason: SuppressionReason, status: ContactStatus
) -> None:
    """A contact that is created, upserted or moved to it has the status of the suppression."""
    actor = await factories.organization(runtime)
    for email in ("created@example.com", "upserted@example.com", "moved@example.com"):
        await suppress(runtime, actor, email, reason)
    created = await create(runtime, actor, {"email": "created@example.com"})
    before = await create(runtime, actor, {"email": "before@example.com"})
    async with runtime.work.begin(actor) as uow:
        [upserted] = await upserting.upsert(uow, [{"email": "upserted@example.com"}])
        moved = await changing.change(uow, before.id, {"email": "moved@example.com"})
    assert upserted.contact is not None
    assert {created.status, upserted.contact.status, moved.status} == {status}
    # A bounce belongs to the address; the contact has subscribed nevertheless.
    assert (created.subscribed_at is not None) is (status is ContactStatus.BOUNCED)


async def test_a_new_address_does_not_weaken_a_status(runtime: Runtime) -> None:
    """A contact that complained stays COMPLAINED at an address that bounced."""
    actor = await factories.organization(runtime)
    await suppress(runtime, actor, "complained@example.com", SuppressionReason.COMPLAINT)
    await suppress(runtime, actor, "bounced@example.com", SuppressionReason.HARD_BOUNCE)
    contact = await create(runtime, actor, {"email": "complained@example.com"})
    async with runtime.work.begin(actor) as uow:
        moved = await changing.change(uow, contact.id, {"email": "bounced@example.com"})
    assert (contact.status, moved.status) == (ContactStatus.COMPLAINED, ContactStatus.COMPLAINED)


async def test_a_change_affects_the_given_fields_only(runtime: Runtime) -> None:
    """Missing fields stay, null empties, custom fields merge, tags are replaced; no difference, no write."""
    actor = await factories.organization(runtime)
    contact = await create(
        runtime,
        actor,
        {
            "email": "ada@example.com",
            "first_name": "Ada",
            "last_name": "Byron",
            "custom_fields": {"plan": "pro", "seats": 3},
            "tags": ["a", "b"],
        },
    )
    async with runtime.work.begin(actor) as uow:
        updated = await changing.change(
            uow,
            contact.id,
            {"last_name": None, "custom_fields": {"seats": None, "city": "Rome"}, "tags": ["b", "c"]},
        )
    assert (updated.first_name, updated.last_name) == ("Ada", None)
    assert updated.custom_fields == {"plan": "pro", "city": "Rome"}
    assert await tags_of(runtime, actor, updated) == ["b", "c"]
    async with runtime.work.begin(actor) as uow:
        assert await changing.change(uow, contact.id, {"first_name": "Ada", "email": "ada@example.com"}) == updated
        assert (await changing.change(uow, contact.id, {"custom_fields": None})).custom_fields == {}


async def test_concurrent_changes_merge_their_custom_fields(runtime: Runtime) -> None:
    """The second one waits for the first, and is merged into its result."""
    actor = await factories.organization(runtime)
    contact = await create(runtime, actor, {"email": "ada@example.com", "custom_fields": {"seats": 3}})

    async def change(values: UncheckedFields) -> ContactRow:
        async with runtime.work.begin(actor) as uow:
            return await changing.change(uow, contact.id, values)

    async with runtime.work.begin(actor) as uow:
        await changing.change(uow, contact.id, {"custom_fields": {"plan": "pro"}})
        second = asyncio.create_task(change({"custom_fields": {"city": "Rome"}}))
        await until(partial(blocks_another, runtime, uow))
    assert (await second).custom_fields == {"seats": 3, "plan": "pro", "city": "Rome"}


@pytest.mark.parametrize("status", [ContactStatus.UNSUBSCRIBED, ContactStatus.BOUNCED, ContactStatus.COMPLAINED])
async def test_nothing_subscribes_a_contact_again(runtime: Runtime, status: ContactStatus) -> None:
    """A change and an upsert keep the status of contacts that must not be mailed."""
    actor = await factories.organization(runtime)
    contact = await create(runtime, actor, {"email": "ada@example.com"})
    async with runtime.work.begin(actor) as uow:
        await uow.execute(update(Contact).where(Contact.id == contact.id).values(status=status))
    async with runtime.work.begin(actor) as uow:
        updated = await changing.change(uow, contact.id, {"first_name": "Ada", "email": "new@example.com"})
        [upserted] = await upserting.upsert(uow, [{"email": "new@example.com", "first_name": "Eve"}])
    assert upserted.contact is not None
    assert (updated.status, upserted.contact.status, upserted.contact.first_name) == (status, status, "Eve")


async def test_unsubscribing_suppresses_the_address_for_good(runtime: Runtime) -> None:
    """Status, suppression and one event; a repeated call, or creating the contact again, changes nothing."""
    actor = await factories.organization(runtime)
    contact = await create(runtime, actor, {"email": "ada@example.com"})
    async with runtime.work.begin(actor) as uow:
        unsubscribed = await changing.unsubscribe(uow, contact.id)
        assert await changing.unsubscribe(uow, contact.id) == unsubscribed
    assert unsubscribed.status == ContactStatus.UNSUBSCRIBED
    assert unsubscribed.unsubscribed_at is not None
    events = await EVENTS.pages_of(runtime.reads(actor.tenant), [contact.id], page_request())
    assert [event.kind for event in events[contact.id].rows] == ["unsubscribed", "subscribed"]
    async with runtime.work.begin(actor) as uow:
        await changing.remove(uow, contact.id)
        again = await changing.create(uow, {"email": "ada@example.com"})
    assert (again.status, again.unsubscribed_at is not None) == (ContactStatus.UNSUBSCRIBED, True)


async def test_unsubscribing_fails_if_the_address_changes_concurrently(runtime: Runtime) -> None:
    """It waits for the change and fails as a whole; a repeated call suppresses the new address."""
    actor = await factories.organization(runtime)
    contact = await create(runtime, actor, {"email": "old@example.com"})

    async def unsubscribe() -> ContactRow:
        async with runtime.work.begin(actor) as uow:
            return await changing.unsubscribe(uow, contact.id)

    async with runtime.work.begin(actor) as uow:
        await changing.change(uow, contact.id, {"email": "new@example.com"})
        leaving = asyncio.create_task(unsubscribe())
        await until(partial(blocks_another, runtime, uow))
    with pytest.raises(Conflict):
        await leaving
    assert await runtime.reads(actor.tenant).rows(select(Suppression.email_norm)) == []
    unsubscribed = await unsubscribe()
    assert (unsubscribed.email, unsubscribed.status) == ("new@example.com", ContactStatus.UNSUBSCRIBED)
    suppressed = await runtime.reads(actor.tenant).rows(select(Suppression.email_norm))
    assert [row.email_norm for row in suppressed] == ["new@example.com"]


async def test_a_deleted_contact_is_unknown(runtime: Runtime) -> None:
    """It is returned once, and its tags are deleted."""
    actor = await factories.organization(runtime)
    contact = await create(runtime, actor, {"email": "ada@example.com", "tags": ["vip"]})
    async with runtime.work.begin(actor) as uow:
        assert await changing.remove(uow, contact.id) == contact
    reads = runtime.reads(actor.tenant)
    assert await CONTACTS.get(reads, contact.id) is None
    assert await listing.tag_counts(reads) == {}
    with pytest.raises(NotFound):
        async with runtime.work.begin(actor) as uow:
            await changing.remove(uow, contact.id)


async def test_a_contact_of_another_organization_is_unknown(runtime: Runtime) -> None:
    """Each function treats its id like one that does not exist."""
    mine, theirs = await factories.organization(runtime), await factories.organization(runtime)
    row = await create(runtime, theirs, {"email": "ada@example.com", "tags": ["vip"]})
    async with runtime.work.begin(theirs) as uow:
        their_list = await lists.create(uow, "Theirs")
    reads = runtime.reads(mine.tenant)
    for contact_id, list_id in ((row.id, their_list.id), (new_id(), new_id())):
        assert await CONTACTS.get(reads, contact_id) is None
        assert await CONTACTS.by_ids(reads, [contact_id]) == {}
        assert await listing.tags_of(reads, [contact_id]) == {contact_id: []}
        assert (await EVENTS.pages_of(reads, [contact_id], page_request()))[contact_id].rows == []
        assert await lists.LISTS.get(reads, list_id) is None
        async with runtime.work.begin(mine) as uow:
            for attempt in (
                changing.change(uow, contact_id, {"first_name": "Eve"}),
                changing.remove(uow, contact_id),
                changing.unsubscribe(uow, contact_id),
                tagging.add(uow, [contact_id], ["x"]),
                tagging.remove(uow, [contact_id], ["vip"]),
                changing.create(uow, {"email": "b@example.com"}, list_ids=[list_id]),
            ):
                with pytest.raises(NotFound):
                    await attempt
            assert await lists.add_members(uow, [their_list.id], [row.id]) == 0
    assert await listing.by_email(reads, "ada@example.com") is None
    assert await CONTACTS.get(runtime.reads(theirs.tenant), row.id) == row


async def test_tags_are_added_and_removed_in_bulk(runtime: Runtime) -> None:
    """Each contact gets each tag once, up to 100; one more fails the call and changes nothing."""
    actor = await factories.organization(runtime)
    ids = await factories.contacts(runtime, actor, 3, tag="old")
    async with runtime.work.begin(actor) as uow:
        await tagging.add(uow, [*ids, ids[0]], ["new", " new ", "old"])
    reads = runtime.reads(actor.tenant)
    assert await listing.tag_counts(reads) == {"new": 3, "old": 3}
    async with runtime.work.begin(actor) as uow:
        await tagging.remove(uow, ids[:2], ["old", "never"])
    assert await listing.tag_counts(reads) == {"new": 3, "old": 1}
    with pytest.raises(InvalidInput) as excinfo:
        async with runtime.work.begin(actor) as uow:
            await tagging.add(uow, ids, [f"tag {n}" for n in range(99)])
    assert excinfo.value.error_code == ErrorCode.TOO_MANY
    assert await listing.tag_counts(reads) == {"new": 3, "old": 1}
    async with runtime.work.begin(actor) as uow:
        await tagging.add(uow, ids, [f"tag {n}" for n in range(98)])
    assert sorted(map(len, (await listing.tags_of(reads, ids)).values())) == [99, 99, 100]


async def test_counts_by_status_have_every_status(runtime: Runtime) -> None:
    """A status without contacts counts 0."""
    actor = await factories.organization(runtime)
    await factories.contacts(runtime, actor, 3)
    counts = await listing.count_by_status(runtime.reads(actor.tenant))
    assert counts == {status: 3 if status is ContactStatus.SUBSCRIBED else 0 for status in ContactStatus}


async def test_a_list_has_each_contact_once(runtime: Runtime) -> None:
    """Adding twice counts once; a taken name and an empty one are refused."""
    actor = await factories.organization(runtime)
    ids = await factories.contacts(runtime, actor, 3)
    async with runtime.work.begin(actor) as uow:
        news = await lists.create(uow, " News ", "Monthly\nnews")
        assert (news.name, news.description) == ("News", "Monthly\nnews")
        assert await lists.add_members(uow, [news.id], ids) == 3
        assert await lists.add_members(uow, [news.id], ids) == 0
        assert await lists.remove_members(uow, news.id, ids[:1]) == 1
    reads = runtime.reads(actor.tenant)
    assert await lists.member_counts(reads, [news.id]) == {news.id: 2}
    for name, code in (("News", ErrorCode.TAKEN), ("\x00", ErrorCode.INVALID), (" ", ErrorCode.REQUIRED)):
        with pytest.raises((InputErrors, lists.ListNameTaken)) as excinfo:
            async with runtime.work.begin(actor) as uow:
                await lists.create(uow, name)
        error = excinfo.value.errors[0] if isinstance(excinfo.value, InputErrors) else excinfo.value
        assert isinstance(error, NudgeError)
        assert error.error_code == code
