"""Inserting contacts, their tags and events, for one row or a thousand.

Rows are inserted, and existing ones locked, in order of the address, so that concurrent calls with the same addresses
wait for each other and never deadlock.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnClause,
    Text,
    Uuid,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.sql.selectable import TableValuedAlias

from core.ids import new_id
from core.unit_of_work import UnitOfWork
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from services.contacts.listing import CONTACTS, ContactRow
from services.suppressions.statuses import STATUS_COLUMNS, new_status

_RECORD: Final = {
    "id": Uuid,
    "email": Text,
    "email_norm": Text,
    "first_name": Text,
    "last_name": Text,
    "status": Text,
    "custom_fields": JSONB,
    "time_zone": Text,
}


def records(name: str) -> TableValuedAlias:
    """The parameter `records` (a JSON list of objects) as rows, so that one plan serves any number of them."""
    source = func.jsonb_to_recordset(bindparam("records", type_=JSONB))
    columns: list[ColumnClause[Any]] = [column(key, type_) for key, type_ in _RECORD.items()]
    return source.table_valued(*columns, name=name).render_derived(with_types=True)


def new_record(fields: Mapping[str, Any], *, status: ContactStatus = ContactStatus.SUBSCRIBED) -> dict[str, Any]:
    """A row for `insert_new`, with a new id, from fields that `fields.check` returned."""
    columns = {key: fields[key] for key in _RECORD if key in fields}
    return {"custom_fields": {}, **columns, "id": str(new_id()), "status": status}


async def insert_new(uow: UnitOfWork, rows: Sequence[Mapping[str, Any]]) -> list[ContactRow]:
    """Insert the rows whose addresses are new; lock the contacts with the other addresses until the transaction ends.

    For a suppressed address the suppression decides the status. Returns the inserted rows, in no particular order.
    """
    new = records("new")
    suppression, status_columns = new_status(uow.tenant.organization_id, new.c.email_norm, new.c.status)
    source = (
        select(
            new.c.id,
            literal(uow.tenant.organization_id),
            new.c.email,
            new.c.email_norm,
            new.c.first_name,
            new.c.last_name,
            new.c.custom_fields,
            new.c.time_zone,
            *status_columns,
        )
        .select_from(new.outerjoin(suppression, true()))
        .order_by(new.c.email_norm)
    )
    target: list[Column[Any] | str] = [
        *("id", "organization_id", "email", "email_norm", "first_name", "last_name", "custom_fields", "time_zone"),
        *STATUS_COLUMNS,
    ]
    statement = insert(Contact).from_select(target, source, include_defaults=False)
    locking = statement.on_conflict_do_update(
        index_elements=[Contact.organization_id, Contact.email_norm],
        set_={"email": Contact.email},
        where=literal(False),
    )
    inserted = await uow.rows(locking.returning(*CONTACTS.columns), {"records": list(rows)})
    return [ContactRow._make(row) for row in inserted]


async def add_tags(uow: UnitOfWork, pairs: Sequence[tuple[UUID, str]]) -> int:
    """Insert pairs of contact and tag; returns how many were new."""
    if not pairs:
        return 0
    values = (
        func.unnest(
            bindparam("contact_ids", [pair[0] for pair in pairs], type_=ARRAY(Uuid)),
            bindparam("tags", [pair[1] for pair in pairs], type_=ARRAY(Text)),
        )
        .table_valued(column("contact_id", Uuid), column("tag", Text), name="given")
        .render_derived()
    )
    source = select(literal(uow.tenant.organization_id), values.c.contact_id, values.c.tag)
    statement = insert(ContactTag).from_select(["organization_id", "contact_id", "tag"], source)
    return (await uow.execute(statement.on_conflict_do_nothing())).rowcount


async def add_events(uow: UnitOfWork, kind: ContactEventKind, contact_ids: Sequence[UUID]) -> None:
    """Insert an event for each contact, as of now."""
    if not contact_ids:
        return
    values = (
        func.unnest(
            bindparam("contact_ids", contact_ids, type_=ARRAY(Uuid)),
            bindparam("event_ids", [new_id() for _ in contact_ids], type_=ARRAY(Uuid)),
        )
        .table_valued(column("contact_id", Uuid), column("event_id", Uuid), name="given")
        .render_derived()
    )
    source = select(
        literal(uow.tenant.organization_id),
        func.now(),
        values.c.event_id,
        values.c.contact_id,
        literal(str(kind)),
        literal(f"{kind}:") + cast(values.c.event_id, Text),
    )
    names = ["organization_id", "occurred_at", "id", "contact_id", "kind", "dedupe_key"]
    await uow.execute(insert(ContactEvent).from_select(names, source, include_defaults=False))
