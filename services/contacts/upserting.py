"""Creating or changing up to 1,000 contacts in one call, with a constant number of statements.

Rows are applied in order: two rows with the same address are one contact, and the later row is merged into the
earlier one.
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
from services.contacts.fields import (
    MAX_TAGS,
    CheckedFields,
    UncheckedFields,
    check,
    is_same_value,
    merge,
    too_many_tags,
)
from services.contacts.listing import CONTACTS, ContactRow, tags_of

_MAX_ROWS: Final = 1_000
_ROWS: Final = ("input", "contacts")
_CHANGEABLE: Final = ("first_name", "last_name", "custom_fields", "time_zone")


class OnInvalid(StrEnum):
    """What an invalid row means for the others."""

    REJECT_ALL = "reject_all"
    SKIP_INVALID = "skip_invalid"


class UpsertStatus(StrEnum):
    """The result of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    INVALID = "invalid"


@dataclass(slots=True, kw_only=True)
class UpsertResult:
    """The result of the row at `index`, with its contact unless the row is invalid."""

    index: int
    status: UpsertStatus
    contact: ContactRow | None = None
    errors: Sequence[NudgeError] = ()


@dataclass(slots=True, kw_only=True)
class PendingContact:
    """A contact with changes that are not yet stored; `row` is None for a new contact."""

    email: str
    row: ContactRow | None = None
    values: dict[str, Any] = field(default_factory=lambda: {"custom_fields": {}})
    tags: dict[str, None] = field(default_factory=dict)
    new_tags: list[str] = field(default_factory=list)
    changed: bool = False

    def merge_row(self, fields: CheckedFields, path: tuple[str, ...]) -> bool:
        """Merge a row into it; returns whether that changed anything. Raises `InvalidInput` before any change."""
        values: dict[str, Any] = {key: fields.get(key) for key in _CHANGEABLE if key in fields}
        if "custom_fields" in fields:
            values["custom_fields"] = merge(
                self.values["custom_fields"], fields["custom_fields"], (*path, "customFields")
            )
        added = [tag for tag in fields.get("tags", ()) if tag not in self.tags]
        if len(self.tags) + len(added) > MAX_TAGS:
            raise too_many_tags((*path, "tags"))
        differs = any(not is_same_value(self.values.get(key), value) for key, value in values.items())
        self.values.update(values)
        self.tags.update(dict.fromkeys(added))
        self.new_tags += added
        self.changed = self.changed or differs
        return differs or bool(added)


_Checked = Mapping[int, CheckedFields]


async def upsert(
    uow: UnitOfWork, rows: Sequence[UncheckedFields], on_invalid: OnInvalid = OnInvalid.REJECT_ALL
) -> list[UpsertResult]:
    """Create or change a contact for each row; returns a result for each row, in order.

    Missing fields stay as they are, null empties them, custom fields are merged, tags are added. The status of an
    existing contact never changes. Raises `InputErrors` for more than 1,000 rows, and with REJECT_ALL for all errors
    of all rows.
    """
    if len(rows) > _MAX_ROWS:
        raise InputErrors([_too_many_rows(len(rows))])
    good, results = _check_rows(rows)
    _raise_if_rejected(on_invalid, results)
    new = {fields["email_norm"]: PendingContact(email=fields["email"]) for fields in reversed(good.values())}
    results |= _merge_rows(good, new)
    inserted = await _insert_pending(uow, new)
    existing = await _load_existing(uow, [norm for norm in new if norm not in inserted])
    results |= _merge_rows(good, existing)
    _raise_if_rejected(on_invalid, results)
    contacts = inserted | await _update_pending(uow, existing)
    await storing.add_tags(
        uow, [(contacts[norm].id, tag) for norm, contact in (new | existing).items() for tag in contact.new_tags]
    )
    for index, fields in good.items():
        if results[index].status is not UpsertStatus.INVALID:
            results[index].contact = contacts[fields["email_norm"]]
    await _record_counts(uow, results)
    return [results[index] for index in range(len(rows))]


async def _record_counts(uow: UnitOfWork, results: Mapping[int, UpsertResult]) -> None:
    """Write one audit record with the number of rows by result; none if no contact changed."""
    counts = Counter(str(result.status) for result in results.values())
    if counts[UpsertStatus.CREATED] or counts[UpsertStatus.UPDATED]:
        await audit.record(uow, "contact.upserted", uow.tenant.organization_id, counts)


def _too_many_rows(count: int) -> InvalidInput:
    """The error for a call with too many rows."""
    return InvalidInput(
        f"At most {_MAX_ROWS} contacts in one call; this call has {count}.",
        field=_ROWS,
        code=ErrorCode.TOO_MANY,
        suggestion="Send them in several calls.",
    )


def _check_rows(rows: Sequence[UncheckedFields]) -> tuple[dict[int, CheckedFields], dict[int, UpsertResult]]:
    """The checked fields of the valid rows, and the results of the invalid ones, by index."""
    good: dict[int, CheckedFields] = {}
    bad: dict[int, UpsertResult] = {}
    for index, row in enumerate(rows):
        fields, errors = check({"email": None, **row}, (*_ROWS, str(index)))
        if errors:
            bad[index] = UpsertResult(index=index, status=UpsertStatus.INVALID, errors=errors)
        else:
            good[index] = fields
    return good, bad


def _raise_if_rejected(on_invalid: OnInvalid, results: Mapping[int, UpsertResult]) -> None:
    """Raise `InputErrors` with the errors of all rows, if there are any and one invalid row rejects all."""
    errors = [error for index in sorted(results) for error in results[index].errors]
    if errors and on_invalid is OnInvalid.REJECT_ALL:
        raise InputErrors(errors)


def _merge_rows(good: _Checked, pending: Mapping[str, PendingContact]) -> dict[int, UpsertResult]:
    """Merge each row into the pending contact with its address, if there is one; the results of these rows."""
    results: dict[int, UpsertResult] = {}
    started: set[str] = set()
    for index, fields in good.items():
        norm = fields["email_norm"]
        if norm not in pending:
            continue
        try:
            differs = pending[norm].merge_row(fields, (*_ROWS, str(index)))
        except InvalidInput as error:
            results[index] = UpsertResult(index=index, status=UpsertStatus.INVALID, errors=[error])
            continue
        is_new = pending[norm].row is None and norm not in started
        started.add(norm)
        changed = UpsertStatus.UPDATED if differs else UpsertStatus.UNCHANGED
        results[index] = UpsertResult(index=index, status=UpsertStatus.CREATED if is_new else changed)
    return results


async def _insert_pending(uow: UnitOfWork, pending: Mapping[str, PendingContact]) -> dict[str, ContactRow]:
    """Insert the contacts whose addresses are new, and lock the existing ones; returns the inserted rows."""
    if not pending:
        return {}
    records = [
        storing.new_record({"email": contact.email, "email_norm": norm, **contact.values})
        for norm, contact in pending.items()
    ]
    inserted = await storing.insert_new(uow, records)
    subscribed = [row.id for row in inserted if row.status == ContactStatus.SUBSCRIBED]
    await storing.add_events(uow, ContactEventKind.SUBSCRIBED, subscribed)
    return {row.email_norm: row for row in inserted}


async def _load_existing(uow: UnitOfWork, norms: Sequence[str]) -> dict[str, PendingContact]:
    """The existing contacts with these addresses, as pending contacts."""
    if not norms:
        return {}
    selected = await uow.rows(CONTACTS.select.where(Contact.email_norm.in_(norms)))
    rows = [ContactRow._make(row) for row in selected]
    tags = await tags_of(uow, [row.id for row in rows])
    return {
        row.email_norm: PendingContact(
            email=row.email,
            row=row,
            values={key: getattr(row, key) for key in _CHANGEABLE},
            tags=dict.fromkeys(tags[row.id]),
        )
        for row in rows
    }


async def _update_pending(uow: UnitOfWork, pending: Mapping[str, PendingContact]) -> dict[str, ContactRow]:
    """Update the contacts that changed; returns the current rows of all."""
    rows = {norm: contact.row for norm, contact in pending.items() if contact.row is not None}
    records = [{"id": str(rows[norm].id), **contact.values} for norm, contact in pending.items() if contact.changed]
    if not records:
        return rows
    new = storing.records("new")
    statement = (
        update(Contact)
        .where(Contact.id == new.c.id)
        .values({key: new.c[key] for key in _CHANGEABLE} | {"updated_at": func.clock_timestamp()})
        .returning(*CONTACTS.columns)
    )
    changed = await uow.rows(statement, {"records": records})
    return rows | {row.email_norm: row for row in map(ContactRow._make, changed)}
