"""Up to 1,000 contacts created or changed in one call."""

from enum import Enum

import strawberry

from schema.contacts.changing import CLEARED_NAME, CLEARED_TIME_ZONE, CUSTOM_FIELDS, MERGED, TAGS
from schema.contacts.contact import Contact
from schema.errors import USER_ERRORS, UserError
from schema.scalars import JSON


@strawberry.enum(description="What to do if some rows of a bulk mutation are invalid.")
class OnInvalid(Enum):
    REJECT_ALL = strawberry.enum_value(
        "reject_all",
        description="Refuse the mutation and change nothing. `userErrors` lists the errors of every invalid row.",
    )
    SKIP_INVALID = strawberry.enum_value(
        "skip_invalid", description="Process the valid rows. The result of each invalid row lists its errors."
    )


@strawberry.enum(description="Outcome of a row of `upsertContacts`.")
class UpsertStatus(Enum):
    CREATED = strawberry.enum_value("created", description="A contact was created.")
    UPDATED = strawberry.enum_value("updated", description="An existing contact was changed.")
    UNCHANGED = strawberry.enum_value("unchanged", description="The contact already had all values of the row.")
    INVALID = strawberry.enum_value(
        "invalid", description="The row was invalid and changed nothing. Its `userErrors` contain the reasons."
    )


@strawberry.input(
    description="A row of `upsertContacts`. The e-mail address identifies the contact; omitted fields stay unchanged."
)
class UpsertContactInput:
    email: str = strawberry.field(
        description=(
            "E-mail address that identifies the contact, ignoring case. For a malformed address, the status of the "
            "row is `INVALID`, with an error whose code is `INVALID_EMAIL`."
        )
    )
    first_name: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_NAME)
    last_name: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_NAME)
    custom_fields: JSON | None = strawberry.field(default=strawberry.UNSET, description=CUSTOM_FIELDS + MERGED)
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET,
        description=TAGS + " They are added to the contact's existing tags; `null` or an empty list adds none.",
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description=CLEARED_TIME_ZONE)


@strawberry.input(
    description=(
        "Input of `upsertContacts`. A new contact is `SUBSCRIBED`, unless its address is suppressed. The status "
        "of an existing contact does not change."
    )
)
class UpsertContactsInput:
    contacts: list[UpsertContactInput] = strawberry.field(
        description=(
            "Up to 1,000 rows with up to 25,000 values in total; each field, tag and custom field counts as a "
            "value. `TOO_MANY` for more. Rows are processed in order: if two rows have the same address, values "
            "of the later one override those of the earlier one."
        )
    )
    on_invalid: OnInvalid = strawberry.field(
        default=OnInvalid.REJECT_ALL, description="What to do if some rows are invalid."
    )


@strawberry.type(description="The result of a row of `upsertContacts`.")
class UpsertContactResult:
    index: int = strawberry.field(description="Index of the row in the input, starting at 0.")
    status: UpsertStatus = strawberry.field(description="Outcome of the row.")
    contact: Contact | None = strawberry.field(
        description="The contact after all rows were processed. `null` if the row is invalid."
    )
    user_errors: list[UserError] = strawberry.field(description="Errors of the row. Empty if the row is valid.")


@strawberry.type(description="The result of `upsertContacts`.")
class UpsertContactsPayload:
    results: list[UpsertContactResult] = strawberry.field(
        default_factory=list,
        description="Results of the rows, in the order of the input. Empty if the mutation was refused.",
    )
    created: int = strawberry.field(default=0, description="Number of rows with the status `CREATED`.")
    updated: int = strawberry.field(default=0, description="Number of rows with the status `UPDATED`.")
    unchanged: int = strawberry.field(default=0, description="Number of rows with the status `UNCHANGED`.")
    invalid: int = strawberry.field(default=0, description="Number of rows with the status `INVALID`.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
