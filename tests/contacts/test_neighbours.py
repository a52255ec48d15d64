"""Changes of a contact do not affect other contacts of the same organization.

Row Level Security separates organizations, but only the conditions of the statements separate contacts.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import Row, insert, select

from core.access.actor import Actor
from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.audit import AuditEvent
from models.contact_events import ContactEvent
from models.contacts import Contact, ContactStatus, ContactTag
from models.lists import ContactList, ListMembership
from models.suppressions import Suppression, SuppressionReason
from models.templates import Template
from runtime import Runtime
from services import lists, templates
from services.contacts import changing, tagging, upserting
from services.contacts.listing import ContactRow
from tests import factories

Case = Callable[[UnitOfWork, ContactRow, UUID], Awaitable[object]]


async def retag(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await changing.change(uow, mine.id, {"tags": ["new"], "first_name": "New", "custom_fields": {"a": 2}})


async def move(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await changing.change(uow, mine.id, {"email": f"{new_id().hex}@example.com"})


async def remove(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await changing.remove(uow, mine.id)


async def unsubscribe(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await changing.unsubscribe(uow, mine.id)


async def tag(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await tagging.add(uow, [mine.id], ["new"])


async def untag(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await tagging.remove(uow, [mine.id], ["old"])


async def upsert(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    return await upserting.upsert(uow, [{"email": mine.email, "first_name": "New", "tags": ["new"]}])


async def join(uow: UnitOfWork, mine: ContactRow, _: UUID) -> object:
    other = await lists.create(uow, f"Another {new_id()}")
    return await lists.add_members(uow, [other.id], [mine.id])


async def leave(uow: UnitOfWork, mine: ContactRow, list_id: UUID) -> object:
    return await lists.remove_members(uow, list_id, [mine.id])


CASES: Final[dict[str, Case]] = {
    "changed": retag,
    "given another address": move,
    "deleted": remove,
    "unsubscribed": unsubscribe,
    "tagged": tag,
    "untagged": untag,
    "upserted": upsert,
    "put on a list": join,
    "taken off a list": leave,
}


async def stored_of(runtime: Runtime, actor: Actor, contact: ContactRow) -> list[Sequence[Row[Any]]]:
    """All stored rows of a contact."""
    reads = runtime.reads(actor.tenant)
    contacts, suppressions = Contact.__table__.c, Suppression.__table__.c
    tables = [
        await reads.rows(select(*contacts).where(contacts.id == contact.id)),
        await reads.rows(select(*suppressions).where(suppressions.email_norm == contact.email_norm)),
    ]
    for table in (ContactTag, ListMembership, ContactEvent):
        columns = table.__table__.c
        tables.append(await reads.rows(select(*columns).where(columns.contact_id == contact.id).order_by(*columns)))
    return tables


@pytest.mark.parametrize("case", CASES)
async def test_another_contact_of_the_organization_stays_as_it_was(runtime: Runtime, case: str) -> None:
    """With the same tag, on the same lists; the contact's other lists and tags stay as well."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        first, second = [(await lists.create(uow, one)).id for one in ("kept", "left")]
        other, mine, another = [
            await changing.create(
                uow,
                {"email": f"{new_id().hex}@example.com", "tags": ["old", "kept"], "custom_fields": {"a": 1}},
                list_ids=[first, second],
            )
            for _ in range(3)
        ]
    states = [await stored_of(runtime, actor, one) for one in (other, mine, another)]
    async with runtime.work.begin(actor) as uow:
        await CASES[case](uow, mine, second)
    assert await stored_of(runtime, actor, mine) != states[1]
    assert [await stored_of(runtime, actor, one) for one in (other, another)] == [states[0], states[2]]
    reads = runtime.reads(actor.tenant)
    tags = {row.tag for row in await reads.rows(select(ContactTag.tag).where(ContactTag.contact_id == mine.id))}
    memberships = select(ListMembership.list_id).where(ListMembership.contact_id == mine.id)
    on = {row.list_id for row in await reads.rows(memberships)}
    expected = {"changed": {"new"}, "tagged": {"old", "kept", "new"}, "untagged": {"kept"}, "deleted": set()}
    expected["upserted"] = expected["tagged"]
    assert tags == expected.get(case, {"old", "kept"})
    assert {first, second} & on == {"deleted": set(), "taken off a list": {first}}.get(case, {first, second})


async def test_another_template_stays_as_it_was(runtime: Runtime) -> None:
    """Only the given template is changed or deleted; a change has its time."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        first, mine = [await templates.create(uow, {"name": name, "subject": name}) for name in ("a", "b")]
    columns = Template.__table__.c
    reads = runtime.reads(actor.tenant)
    before = await reads.rows(select(*columns).where(columns.id == first.id))
    async with runtime.work.begin(actor) as uow:
        template = await templates.update(uow, mine.id, {"subject": "New"})
    assert (template.subject, template.updated_at > mine.updated_at) == ("New", True)
    assert await reads.rows(select(*columns).where(columns.id == first.id)) == before
    async with runtime.work.begin(actor) as uow:
        assert await templates.delete(uow, mine.id) == template
    assert await reads.rows(select(*columns)) == before


async def test_a_contact_is_unsubscribed_once(runtime: Runtime) -> None:
    """There is one record of it for each contact; a call that changes nothing leaves no record."""
    actor = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, actor, 2)
    for contact_id in (*contacts, *contacts):
        async with runtime.work.begin(actor) as uow:
            await changing.unsubscribe(uow, contact_id)
    rows = await runtime.reads(actor.tenant).rows(
        select(AuditEvent.target_id).where(AuditEvent.action == "contact.unsubscribed")
    )
    assert sorted(row.target_id for row in rows) == sorted(contacts)


async def test_a_contact_created_as_unsubscribed_is_suppressed_by_its_address(runtime: Runtime) -> None:
    """A contact created with that address later, in any spelling, is unsubscribed since the same time."""
    actor = await factories.organization(runtime)
    email = f"Someone.{new_id().hex}@Example.com"
    async with runtime.work.begin(actor) as uow:
        contact = await changing.create(uow, {"email": email}, status=ContactStatus.UNSUBSCRIBED)
        rows = await uow.rows(select(Suppression.email_norm, Suppression.source, Suppression.occurred_at))
        assert [tuple(row) for row in rows] == [(email.lower(), "own", contact.created_at)]
        await changing.remove(uow, contact.id)
    async with runtime.work.begin(actor) as uow:
        again = await changing.create(uow, {"email": email.upper()})
    assert (again.status, again.unsubscribed_at) == (ContactStatus.UNSUBSCRIBED, contact.created_at)


async def test_another_spelling_of_the_address_changes_no_status(runtime: Runtime) -> None:
    """The contact's status may have been changed since its suppression."""
    actor = await factories.organization(runtime)
    async with runtime.work.begin(actor) as uow:
        contact = await changing.create(uow, {"email": f"{new_id().hex}@example.com"})
        suppression = {"organization_id": actor.organization_id, "reason": SuppressionReason.PROVIDER}
        await uow.execute(insert(Suppression).values(email_norm=contact.email_norm, **suppression))
        updated = await changing.change(uow, contact.id, {"email": contact.email.upper()})
    assert (updated.status, updated.email_norm) == (contact.status, contact.email_norm)
    assert updated.email != contact.email


@pytest.mark.parametrize("step", [tagging.add, tagging.remove])
async def test_at_most_a_thousand_contacts_are_tagged_in_one_call(
    runtime: Runtime, step: Callable[[UnitOfWork, Sequence[UUID | None], Sequence[str]], Awaitable[list[UUID]]]
) -> None:
    """All or none; too many ids are refused before any of them is looked up."""
    actor = await factories.organization(runtime)
    contacts = await factories.contacts(runtime, actor, 1_000, tag="old")
    async with runtime.work.begin(actor) as uow:
        assert await step(uow, contacts, ["old"]) == contacts
        with pytest.raises(InvalidInput) as excinfo:
            await step(uow, [*contacts, new_id()], ["old"])
    assert (excinfo.value.error_code, excinfo.value.field) == (ErrorCode.TOO_MANY, ("input", "contactIds"))


async def test_a_contacts_lists_are_ordered_by_name(runtime: Runtime) -> None:
    """Whenever they were created, and whenever the contact was added."""
    actor = await factories.organization(runtime)
    (contact_id,) = await factories.contacts(runtime, actor, 1)
    async with runtime.work.begin(actor) as uow:
        for name in ("b", "c", "a"):
            await lists.add_members(uow, [(await lists.create(uow, name)).id], [contact_id])
        await lists.create(uow, "without it")
    lists_by_contact = await lists.of_contacts(runtime.reads(actor.tenant), [contact_id])
    assert [row.name for row in lists_by_contact[contact_id]] == ["a", "b", "c"]
    assert len(await runtime.reads(actor.tenant).rows(select(ContactList.id))) == 4
