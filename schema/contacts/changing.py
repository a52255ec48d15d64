"""Inputs and payloads of the mutations."""

import strawberry

from models import contacts as models
from schema.contacts.contact import Contact
from schema.errors import USER_ERRORS, UserError
from schema.scalars import JSON, EmailAddress

NAME = (
    "Up to 200 characters. Invisible padding is left out; INVALID with control characters or the right-to-left "
    "override U+202E. Null or empty clears it."
)
CUSTOM_FIELDS = (
    "A JSON object: up to 100 fields, names of letters, digits and `_`, values that are scalars or lists of scalars; "
    "texts up to 1,000 characters, 16 KiB in all."
)
MERGED = " Merged into what is there: a null removes its field, null instead of the object removes all."
TAGS = (
    "Up to 100 tags of 1 to 64 characters, without invisible padding, spaces trimmed and collapsed; upper and lower "
    "case differ."
)
TIME_ZONE = (
    "IANA name, e.g. `Europe/Berlin`; null clears it. INVALID for any other, with a suggestion for names of Windows, "
    "for cities and for names that are misspelt in one place."
)
CONTACT_ID = "The contact; NOT_FOUND when there is none."
CONTACT_IDS = "Up to 1,000 contacts (TOO_MANY beyond); NOT_FOUND for one that is unknown, and nothing is changed."


@strawberry.input(description="A new contact.")
class CreateContactInput:
    email: EmailAddress = strawberry.field(description="TAKEN when another contact has it, in any case.")
    first_name: str | None = strawberry.field(default=None, description=NAME)
    last_name: str | None = strawberry.field(default=None, description=NAME)
    custom_fields: JSON | None = strawberry.field(default=None, description=CUSTOM_FIELDS)
    tags: list[str] | None = strawberry.field(default=None, description=TAGS)
    list_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Lists to put the contact on, up to 100 (TOO_MANY beyond)."
    )
    time_zone: str | None = strawberry.field(default=None, description=TIME_ZONE)
    status: models.ContactStatus = strawberry.field(
        default=models.ContactStatus.SUBSCRIBED,
        description=(
            "SUBSCRIBED, PENDING or UNSUBSCRIBED. An address that bounced, complained or unsubscribed before "
            "gets that status instead, whatever is asked for."
        ),
    )


@strawberry.input(
    description="Changes of a contact. A field left out stays. Who may not be mailed is not subscribed by it again."
)
class UpdateContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)
    email: EmailAddress | None = strawberry.field(
        default=strawberry.UNSET, description="TAKEN when another contact has it. Null is refused (REQUIRED)."
    )
    first_name: str | None = strawberry.field(default=strawberry.UNSET, description=NAME)
    last_name: str | None = strawberry.field(default=strawberry.UNSET, description=NAME)
    custom_fields: JSON | None = strawberry.field(default=strawberry.UNSET, description=CUSTOM_FIELDS + MERGED)
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description=TAGS + " Replaces the tags that are there; null or empty removes all."
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description=TIME_ZONE)


@strawberry.input(description="The contact to delete.")
class DeleteContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)


@strawberry.input(description="The contact to unsubscribe.")
class UnsubscribeContactInput:
    contact_id: strawberry.ID = strawberry.field(description=CONTACT_ID)


@strawberry.input(description="Tags to give to contacts.")
class AddTagsInput:
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)
    tags: list[str] = strawberry.field(description=TAGS + " TOO_MANY when a contact would have more than 100.")


@strawberry.input(description="Tags to take from contacts.")
class RemoveTagsInput:
    contact_ids: list[strawberry.ID] = strawberry.field(description=CONTACT_IDS)
    tags: list[str] = strawberry.field(description=TAGS + " Those a contact does not have are passed over.")


CONTACT = "The contact as it is now. Null on refusal."


@strawberry.type(description="The new contact, or why there is none.")
class CreateContactPayload:
    contact: Contact | None = strawberry.field(default=None, description=CONTACT)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The contact after the change, or why nothing was changed.")
class UpdateContactPayload:
    contact: Contact | None = strawberry.field(default=None, description=CONTACT)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="What was deleted, or why nothing was.")
class DeleteContactPayload:
    contact: Contact | None = strawberry.field(
        default=None, description="The contact's own fields as they were; without tags, lists. Null on refusal."
    )
    deleted_contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id that is no longer known. Null on refusal."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The unsubscribed contact, or why nothing was changed.")
class UnsubscribeContactPayload:
    contact: Contact | None = strawberry.field(default=None, description=CONTACT)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


CONTACTS = "The contacts as they are now, each once, in the order named. Empty on refusal."


@strawberry.type(description="The contacts with the tags, or why nothing was changed.")
class AddTagsPayload:
    contacts: list[Contact] = strawberry.field(default_factory=list, description=CONTACTS)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.type(description="The contacts without the tags, or why nothing was changed.")
class RemoveTagsPayload:
    contacts: list[Contact] = strawberry.field(default_factory=list, description=CONTACTS)
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
