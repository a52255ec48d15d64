"""Mutations of contacts."""

from collections import Counter
from collections.abc import Sequence
from typing import cast
from uuid import UUID

import strawberry

from core.access.permissions import Permission
from resolvers.contacts.mapping import contact_of
from resolvers.context import Info, RequestContext
from resolvers.fields import Requires, mutation
from resolvers.inputs import provided_values
from resolvers.lists import contact_ids
from schema.contacts import Contact
from schema.contacts.changing import (
    AddTagsInput,
    AddTagsPayload,
    CreateContactInput,
    CreateContactPayload,
    DeleteContactInput,
    DeleteContactPayload,
    RemoveTagsInput,
    RemoveTagsPayload,
    UnsubscribeContactInput,
    UnsubscribeContactPayload,
    UpdateContactInput,
    UpdateContactPayload,
)
from schema.contacts.upserting import (
    UpsertContactInput,
    UpsertContactResult,
    UpsertContactsInput,
    UpsertContactsPayload,
    UpsertStatus,
)
from schema.errors import user_error
from schema.nodes import global_id, uuid_of
from services.contacts import changing, tagging, upserting
from services.contacts.fields import UncheckedFields
from services.contacts.listing import CONTACTS
from services.contacts.upserting import OnInvalid, UpsertResult


def _provided_fields(input_: CreateContactInput | UpdateContactInput | UpsertContactInput) -> UncheckedFields:
    """The fields that the client provided, including nulls, without omitted ones."""
    names = ("email", "first_name", "last_name", "custom_fields", "tags", "time_zone")
    return cast("UncheckedFields", provided_values(input_, *names))


def _result_of(result: UpsertResult) -> UpsertContactResult:
    """The API's result of one upserted row."""
    return UpsertContactResult(
        index=result.index,
        status=UpsertStatus[result.status.name],
        contact=contact_of(result.contact) if result.contact else None,
        user_errors=[user_error(error) for error in result.errors],
    )


async def _contacts_by_ids(context: RequestContext, ids: Sequence[UUID]) -> list[Contact]:
    """Contacts by their ids, in that order."""
    contacts = await CONTACTS.by_ids(context.reads, ids)
    return [contact_of(contacts[contact_id]) for contact_id in ids if contact_id in contacts]


@strawberry.type
class ContactMutations:
    @mutation(Requires(Permission.CONTACT_WRITE), audit=("contact.created", "list_member.added"))
    async def create_contact(self, info: Info, input: CreateContactInput) -> CreateContactPayload:  # noqa: A002 - the contract's name
        """Create a contact. All errors of the input are reported together."""
        list_ids = [uuid_of("List", value) for value in input.list_ids or ()]
        async with info.context.work() as uow:
            row = await changing.create(uow, _provided_fields(input), status=input.status, list_ids=list_ids)
        return CreateContactPayload(contact=contact_of(row))

    @mutation(Requires(Permission.CONTACT_WRITE), audit="contact.updated")
    async def update_contact(self, info: Info, input: UpdateContactInput) -> UpdateContactPayload:  # noqa: A002 - the same
        """Change the given fields of a contact. Custom fields are merged; tags are replaced."""
        async with info.context.work() as uow:
            row = await changing.change(uow, uuid_of("Contact", input.contact_id), _provided_fields(input))
        return UpdateContactPayload(contact=contact_of(row))

    @mutation(Requires(Permission.CONTACT_DELETE), audit="contact.deleted")
    async def delete_contact(self, info: Info, input: DeleteContactInput) -> DeleteContactPayload:  # noqa: A002 - the same
        """Delete a contact, its tags and its list memberships.

        The deliveries of messages to it remain, and so does the suppression of an address that must not be mailed.
        """
        async with info.context.work() as uow:
            row = await changing.remove(uow, uuid_of("Contact", input.contact_id))
        return DeleteContactPayload(contact=contact_of(row), deleted_contact_id=global_id("Contact", row.id))

    @mutation(Requires(Permission.CONTACT_WRITE), audit="contact.upserted")
    async def upsert_contacts(self, info: Info, input: UpsertContactsInput) -> UpsertContactsPayload:  # noqa: A002 - the same
        """Create or change up to 1,000 contacts, identified by e-mail address. Each row has its own result."""
        rows = [_provided_fields(row) for row in input.contacts]
        async with info.context.work() as uow:
            results = await upserting.upsert(uow, rows, OnInvalid[input.on_invalid.name])
        counted = Counter(result.status.value for result in results)
        return UpsertContactsPayload(
            results=[_result_of(result) for result in results],
            created=counted["created"],
            updated=counted["updated"],
            unchanged=counted["unchanged"],
            invalid=counted["invalid"],
        )

    @mutation(Requires(Permission.CONTACT_WRITE), audit="contact.unsubscribed")
    async def unsubscribe_contact(self, info: Info, input: UnsubscribeContactInput) -> UnsubscribeContactPayload:  # noqa: A002 - the same
        """Unsubscribe a contact permanently: its address is also added to the suppression list.

        A contact who bounced or complained keeps that status. `CONFLICT` if its address is changed at the same time.
        Repeating the call changes nothing.
        """
        async with info.context.work() as uow:
            row = await changing.unsubscribe(uow, uuid_of("Contact", input.contact_id))
        return UnsubscribeContactPayload(contact=contact_of(row))

    @mutation(Requires(Permission.CONTACT_WRITE), audit="contact.tagged")
    async def add_tags(self, info: Info, input: AddTagsInput) -> AddTagsPayload:  # noqa: A002 - the same
        """Add tags to up to 1,000 contacts. Existing tags remain."""
        async with info.context.work() as uow:
            ids = await tagging.add(uow, contact_ids(input.contact_ids), input.tags)
        return AddTagsPayload(contacts=await _contacts_by_ids(info.context, ids))

    @mutation(Requires(Permission.CONTACT_WRITE), audit="contact.untagged")
    async def remove_tags(self, info: Info, input: RemoveTagsInput) -> RemoveTagsPayload:  # noqa: A002 - the same
        """Remove tags from up to 1,000 contacts."""
        async with info.context.work() as uow:
            ids = await tagging.remove(uow, contact_ids(input.contact_ids), input.tags)
        return RemoveTagsPayload(contacts=await _contacts_by_ids(info.context, ids))
