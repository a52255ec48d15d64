"""Inputs and payloads of the mutations."""

import strawberry

from models import contacts as models
from schema.contacts.contact import Contact
from schema.errors import USER_ERRORS, UserError
from schema.scalars import JSON, EmailAddress

NAME = (
    "At most 200 characters. Invisible characters are removed. `INVALID` if it contains control characters "
    "or the right-to-left override U+202E."
)
CLEARED_NAME = f"{NAME} `null` or an empty string clears it."
CUSTOM_FIELDS = (
    "Custom fields as a JSON object with at most 100 keys of letters, digits and `_`. A value is a scalar or "
    "a list of scalars; a string has at most 1,000 characters. At most 16 KiB in total."
)
MERGED = (
    " It is merged into the existing custom fields: a key with the value `null` is removed, and `null` "
    "instead of the object removes all."
)
TAGS = (
    "At most 100 tags, each of 1 to 64 characters. Tags are case-sensitive. Leading and trailing spaces and "
    "invisible characters are removed, and several spaces become one."
)
TIME_ZONE = (
    "Time zone as an IANA name, for example `Europe/Berlin`. `INVALID` for any other name; the error suggests "
    "one for Windows names, cities and misspellings."
)
CLEARED_TIME_ZONE = f"{TIME_ZONE} `null` clears it."
CONTACT_ID = "ID of the contact. `NOT_FOUND` if there is no such contact."
CONTACT_IDS = (
    "IDs of up to 1,000 contacts; `TOO_MANY` for more. If any of them does not exist, the mutation is "
    "refused with `NOT_FOUND`."
)


@strawberry.input(description="Input of `createContact`.")
class CreateContactInput:
    email: EmailAddress = strawberry.field(
        description="E-mail address of the contact. `TAKEN` if another contact has this address, ignoring case."
    )
    first_name: str | None = strawberry.field(default=None, description=NAME)
    last_name: str | None = strawberry.field(default=None, description=NAME)
    custom_fields: JSON | None = strawberry.field(default=None, description=CUSTOM_FIELDS)
    tags: list[str] | None = strawberry.field(default=None, description=TAGS)
    list_ids: list[strawberry.ID] | None = strawberry.field(
        default=None,
        description=(
            "IDs of up to 100 lists to add the contact to; `TOO_MANY` for more. `NOT_FOUND` if a list does not exist."
        ),
    )
    time_zone: str | None = strawberry.field(default=None, description=TIME_ZONE)
    status: models.ContactStatus = strawberry.field(
        default=models.ContactStatus.SUBSCRIBED,
        description=(
            "`SUBSCRIBED`, `PENDING` or `UNSUBSCRIBED`; `INVALID` for the other statuses. If the address is "
            "suppressed because of a bounce, a complaint or an unsubscription, the contact gets the "
            "corresponding status instead."
        ),
    )


@strawberry.input(
    description=(
        "Input of `updateContact`. Omitted fields stay unchanged. If the new address is suppressed, the status "
        "can change to the corresponding one, but never to `SUBSCRIBED`."
    )
)
class UpdateContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)
    email: EmailAddress | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "E-mail address of the contact. `TAKEN` if another contact has this address, ignoring case. `null` "
            "is refused with `REQUIRED`."
        ),
    )
    first_name: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_NAME)
    last_name: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_NAME)
    custom_fields: JSON | None = strawberry.field(default=strawberry.UNSET, description=CUSTOM_FIELDS + MERGED)
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description=TAGS + " They replace the contact's existing tags; `null` or an empty list removes all.",
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_TIME_ZONE)


@strawberry.input(description="Input of `deleteContact`.")
class DeleteContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)


@strawberry.input(description="Input of `unsubscribeContact`.")
class UnsubscribeContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)


@strawberry.input(description="Input of `addTags`.")
class AddTagsInput:
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)
    tags: list[str] = strawberry.field(description=TAGS + " `TOO_MANY` if a contact would have more than 100 tags.")


@strawberry.input(description="Input of `removeTags`.")
class RemoveTagsInput:
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)
    tags: list[str] = strawberry.field(description=TAGS + " Tags that a contact does not have are ignored.")


CONTACT = "The contact after the change. `null` if the mutation was refused."


@strawberry.type(description="The result of `createContact`.")
class CreateContactPayload:
    contact: Contact | None = strawberry.field(
        default=None, description="The new contact. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `updateContact`.")
class UpdateContactPayload:
    contact: Contact | None = strawberry.field(default=None, description=CONTACT)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `deleteContact`.")
class DeleteContactPayload:
    contact: Contact | None = strawberry.field(
        default=None,
        description=(
            "The contact as it was before deletion, without its tags, lists and events. `null` if the mutation "
            "was refused."
        ),
    )
    deleted_contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="ID of the deleted contact. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `unsubscribeContact`.")
class UnsubscribeContactPayload:
    contact: Contact | None = strawberry.field(default=None, description=CONTACT)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


CONTACTS = (
    "The contacts after the change, in the order of `contactIds` without duplicates. Empty if the mutation "
    "was refused."
)


@strawberry.type(description="The result of `addTags`.")
class AddTagsPayload:
    contacts: list[Contact] = strawberry.field(default_factory=list, description=CONTACTS)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The result of `removeTags`.")
class RemoveTagsPayload:
    contacts: list[Contact] = strawberry.field(default_factory=list, description=CONTACTS)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
