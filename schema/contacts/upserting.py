"""Up to 1,000 contacts created or changed in one call."""

from enum import Enum

import strawberry

from schema.contacts.changing import CUSTOM_FIELDS, MERGED, NAME, TAGS, TIME_ZONE
from schema.contacts.contact import Contact
from schema.errors import USER_ERRORS, UserError
from schema.scalars import JSON


@strawberry.enum(description="What an invalid row does to the others.")
class OnInvalid(Enum):
    REJECT_ALL = strawberry.enum_value(
        "reject_all", description="Nothing is changed; `userErrors` says what is wrong with every bad row."
    )
    SKIP_INVALID = strawberry.enum_value(
        "skip_invalid", description="The other rows are done; the bad ones say what is wrong in their results."
    )


@strawberry.enum(description="What became of a row.")
class UpsertStatus(Enum):
    CREATED = strawberry.enum_value("created", description="The address was new.")
    UPDATED = strawberry.enum_value("updated", description="The contact was there, and changed.")
    UNCHANGED = strawberry.enum_value("unchanged", description="The contact was there, with all that the row says.")
    INVALID = strawberry.enum_value("invalid", description="Nothing was done; `userErrors` says why.")


@strawberry.input(description="A contact by its address. A field left out stays as it is.")
class UpsertContactInput:
    email: str = strawberry.field(description="Names the contact, in any case; no address makes the row INVALID.")
    first_name: str | None = strawberry.field(default=strawberry.UNSET, description=NAME)
    last_name: str | None = strawberry.field(default=strawberry.UNSET, description=NAME)
    custom_fields: JSON | None = strawberry.field(default=strawberry.UNSET, description=CUSTOM_FIELDS + MERGED)
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description=TAGS + " Added to the tags that are there; null or empty adds none."
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description=TIME_ZONE)


@strawberry.input(description="Contacts to create or change. Nobody who may not be mailed is subscribed by it again.")
class UpsertContactsInput:
    contacts: list[UpsertContactInput] = strawberry.field(
        description=(
            "Up to 1,000 rows (TOO_MANY beyond), and 25,000 values in all, each field, tag and custom field counted. "
            "They count in their order: of two rows with one address, the later is laid over the earlier."
        )
    )
    on_invalid: OnInvalid = strawberry.field(
        default=OnInvalid.REJECT_ALL, description="What an invalid row does to the others."
    )


@strawberry.type(description="What became of one row.")
class UpsertContactResult:
    index: int = strawberry.field(description="Which row of the input, from 0.")
    status: UpsertStatus = strawberry.field(description="What became of it.")
    contact: Contact | None = strawberry.field(description="The contact after all rows. Null for an INVALID row.")
    user_errors: list[UserError] = strawberry.field(description="What is wrong with the row; empty otherwise.")


@strawberry.type(description="A result for each row, or with REJECT_ALL why nothing was changed.")
class UpsertContactsPayload:
    results: list[UpsertContactResult] = strawberry.field(
        default_factory=list, description="One for each row, in order. Empty when all were rejected."
    )
    created: int = strawberry.field(default=0, description="How many rows were CREATED.")
    updated: int = strawberry.field(default=0, description="How many rows were UPDATED.")
    unchanged: int = strawberry.field(default=0, description="How many rows were UNCHANGED.")
    invalid: int = strawberry.field(default=0, description="How many rows were INVALID.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
