"""Up to 1,000 contacts created or changed in one call, in four statements however many they are.

The rows count in their order: two rows of one address are one contact, and the later one is laid over the earlier.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, update

from core.errors import ErrorCode, InputErrors, InvalidInput, NudgeError
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEventKind
from models.contacts import Contact, ContactStatus
from services import audit
from services.contacts import storing
from services.contacts.fields import MAX_TAGS, Fields, GivenFields, check, merged, same, too_many_tags
from services.contacts.listing import CONTACTS, ContactRow, tags_of

MAX_ROWS: Final = 1_000
ROWS: Final = ("input", "contacts")
CHANGEABLE: Final = ("first_name", "last_name", "custom_fields", "time_zone")


class OnInvalid(StrEnum):
    """What an invalid row does to the others."""

    REJECT_ALL = "reject_all"
    SKIP_INVALID = "skip_invalid"


class UpsertStatus(StrEnum):
    """What became of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    INVALID = "invalid"


@dataclass(slots=True, kw_only=True)
class UpsertResult:
    """What became of the row at `index`, and the contact it names unless it is invalid."""

    index: int
    status: UpsertStatus
    contact: ContactRow | None = None
    errors: Sequence[NudgeError] = ()


@dataclass(slots=True, kw_only=True)
class Draft:
    """A contact while rows are laid over it; `row` is None for one that is new."""

    email: str
    row: ContactRow | None = None
    values: dict[str, Any] = field(default_factory=lambda: {"custom_fields": {}})
    tags: dict[str, None] = field(default_factory=dict)
    new_tags: list[str] = field(default_factory=list)
    changed: bool = False

    def lay(self, fields: Fields, at: tuple[str, ...]) -> bool:
        """Lay a row over it; whether that changed anything. Raises `InvalidInput`, and then changes nothing."""
        values: dict[str, Any] = {key: fields.get(key) for key in CHANGEABLE if key in fields}
        if "custom_fields" in fields:
            values["custom_fields"] = merged(
                self.values["custom_fields"], fields["custom_fields"], (*at, "customFields")
            )
        added = [tag for tag in fields.get("tags", ()) if tag not in self.tags]
        if len(self.tags) + len(added) > MAX_TAGS:
            raise too_many_tags((*at, "tags"))
        differs = any(not same(self.values.get(key), value) for key, value in values.items())
        self.values.update(values)
        self.tags.update(dict.fromkeys(added))
        self.new_tags += added
        self.changed = self.changed or differs
        return differs or bool(added)


Checked = Mapping[int, Fields]


async def upsert(
    uow: UnitOfWork, rows: Sequence[GivenFields], on_invalid: OnInvalid = OnInvalid.REJECT_ALL
) -> list[UpsertResult]:
    """Create or change a contact for each row; a result for each row, in order.

    Missing fields stay, null empties them, custom fields merge, tags are added. Nobody is subscribed by it again.
    Raises `InputErrors`: more than 1,000 rows, or with REJECT_ALL every refusal of every bad row.
    """
    if len(rows) > MAX_ROWS:
        raise InputErrors([too_many_rows(len(rows))])
    good, results = checked(rows)
    reject(on_invalid, results)
    fresh = {fields["email_norm"]: Draft(email=fields["email"]) for fields in reversed(good.values())}
    results |= laid(good, fresh)
    inserted = await insert_drafts(uow, fresh)
    existing = await drafts_of_existing(uow, [norm for norm in fresh if norm not in inserted])
    results |= laid(good, existing)
    reject(on_invalid, results)
    contacts = inserted | await update_drafts(uow, existing)
    await storing.add_tags(
        uow, [(contacts[norm].id, tag) for norm, draft in (fresh | existing).items() for tag in draft.new_tags]
    )
    for index, fields in good.items():
        if results[index].status is not UpsertStatus.INVALID:
            results[index].contact = contacts[fields["email_norm"]]
    await record_counts(uow, results)
    return [results[index] for index in range(len(rows))]


async def record_counts(uow: UnitOfWork, results: Mapping[int, UpsertResult]) -> None:
    """Write one audit record for all rows, of how many came to what; none when no contact changed."""
    counts = Counter(str(result.status) for result in results.values())
    if counts[UpsertStatus.CREATED] or counts[UpsertStatus.UPDATED]:
        await audit.record(uow, "contact.upserted", uow.tenant.organization_id, counts)


def too_many_rows(how_many: int) -> InvalidInput:
    """The refusal of a call that is too large."""
    return InvalidInput(
        f"At most {MAX_ROWS} contacts at once; this has {how_many}.",
        field=ROWS,
        code=ErrorCode.TOO_MANY,
        suggestion="Send them in several calls.",
    )


def checked(rows: Sequence[GivenFields]) -> tuple[dict[int, Fields], dict[int, UpsertResult]]:
    """The checked fields of the good rows, and the results of the bad ones, by index."""
    good: dict[int, Fields] = {}
    bad: dict[int, UpsertResult] = {}
    for index, row in enumerate(rows):
        fields, errors = check({"email": None, **row}, (*ROWS, str(index)))
        if errors:
            bad[index] = UpsertResult(index=index, status=UpsertStatus.INVALID, errors=errors)
        else:
            good[index] = fields
    return good, bad


def reject(on_invalid: OnInvalid, results: Mapping[int, UpsertResult]) -> None:
    """Raise `InputErrors` with all that is wrong, when one bad row is to reject all."""
    errors = [error for index in sorted(results) for error in results[index].errors]
    if errors and on_invalid is OnInvalid.REJECT_ALL:
        raise InputErrors(errors)


def laid(good: Checked, drafts: Mapping[str, Draft]) -> dict[int, UpsertResult]:
    """Lay each row over the draft of its address, if there is one; what became of those rows."""
    results: dict[int, UpsertResult] = {}
    started: set[str] = set()
    for index, fields in good.items():
        norm = fields["email_norm"]
        if norm not in drafts:
            continue
        try:
            differs = drafts[norm].lay(fields, (*ROWS, str(index)))
        except InvalidInput as error:
            results[index] = UpsertResult(index=index, status=UpsertStatus.INVALID, errors=[error])
            continue
        is_new = drafts[norm].row is None and norm not in started
        started.add(norm)
        changed = UpsertStatus.UPDATED if differs else UpsertStatus.UNCHANGED
        results[index] = UpsertResult(index=index, status=UpsertStatus.CREATED if is_new else changed)
    return results


async def insert_drafts(uow: UnitOfWork, drafts: Mapping[str, Draft]) -> dict[str, ContactRow]:
    """Insert the drafts whose addresses are new, and lock the contacts that have the others; the rows inserted."""
    if not drafts:
        return {}
    records = [
        storing.new_record({"email": draft.email, "email_norm": norm, **draft.values})
        for norm, draft in drafts.items()
    ]
    inserted = await storing.insert_new(uow, records)
    subscribed = [row.id for row in inserted if row.status == ContactStatus.SUBSCRIBED]
    await storing.note(uow, ContactEventKind.SUBSCRIBED, subscribed)
    return {row.email_norm: row for row in inserted}


async def drafts_of_existing(uow: UnitOfWork, norms: Sequence[str]) -> dict[str, Draft]:
    """A draft of each contact that has one of the addresses, as it is now."""
    if not norms:
        return {}
    found = await uow.rows(CONTACTS.select.where(Contact.email_norm.in_(norms)))
    rows = [ContactRow._make(row) for row in found]
    tags = await tags_of(uow, [row.id for row in rows])
    return {
        row.email_norm: Draft(
            email=row.email,
            row=row,
            values={key: getattr(row, key) for key in CHANGEABLE},
            tags=dict.fromkeys(tags[row.id]),
        )
        for row in rows
    }


async def update_drafts(uow: UnitOfWork, drafts: Mapping[str, Draft]) -> dict[str, ContactRow]:
    """Update the contacts that changed; the rows of all of them, as they are now."""
    rows = {norm: draft.row for norm, draft in drafts.items() if draft.row is not None}
    records = [{"id": str(rows[norm].id), **draft.values} for norm, draft in drafts.items() if draft.changed]
    if not records:
        return rows
    new = storing.records("new")
    statement = (
        update(Contact)
        .where(Contact.id == new.c.id)
        .values({key: new.c[key] for key in CHANGEABLE} | {"updated_at": func.clock_timestamp()})
        .returning(*CONTACTS.columns)
    )
    changed = await uow.rows(statement, {"records": records})
    return rows | {row.email_norm: row for row in map(ContactRow._make, changed)}
