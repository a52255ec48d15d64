"""Templates: texts to start a campaign from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, insert, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as change
from sqlalchemy.exc import IntegrityError

from core.database.prepared import prepare
from core.database.scopes import Reads
from core.errors import ErrorCode, InvalidInput, NotFound
from core.ids import new_id
from core.listing import pages
from core.listing.pages import Order, Page, PageRequest
from core.unit_of_work import UnitOfWork
from models.templates import Template
from services import audit
from services.content import EMPTY, GivenTexts, Texts, changed_name, check_content, check_name, with_changes

TEMPLATE_FIELD: Final = ("input", "templateId")


class NameTaken(InvalidInput):
    """Another template of the organisation has this name."""

    code = ErrorCode.TAKEN


class Changes(GivenTexts, total=False):
    """What to change of a template. A key left out leaves the value; None clears a text (no name, though)."""

    name: str | None


class TemplateRow(NamedTuple):
    """A template with its texts."""

    id: UUID
    name: str
    subject: str
    html_content: str
    text_content: str
    created_at: datetime
    updated_at: datetime


COLUMNS: Final = tuple(getattr(Template, name) for name in TemplateRow._fields)
BY_NAME: Final = Order(name="templates:name", key=Template.name, id=Template.id, keys=pages.TEXTS)
EVERY_TEMPLATE: Final = pages.WholeList(select(*COLUMNS))
BY_ID: Final = prepare(select(*COLUMNS).where(Template.id == bindparam("wanted", type_=Uuid)))
BY_IDS: Final = prepare(select(*COLUMNS).where(Template.id == func.any(bindparam("wanted", type_=ARRAY(Uuid)))))
HOW_MANY: Final = prepare(select(func.count().label("how_many")).select_from(Template))


async def get(reads: Reads, template_id: UUID) -> TemplateRow | None:
    """The tenant's template with this id, or None."""
    rows = await reads.rows_as(TemplateRow, BY_ID, {"wanted": template_id})
    return rows[0] if rows else None


async def demand_template(
    reads: Reads, template_id: UUID | None, *, field: tuple[str, ...] = TEMPLATE_FIELD
) -> TemplateRow:
    """The tenant's template with this id; raises `NotFound`, also for another tenant's and for no id at all."""
    found = await get(reads, template_id) if template_id else None
    if found is None:
        raise no_such_template(field)
    return found


def no_such_template(field: tuple[str, ...] = TEMPLATE_FIELD) -> NotFound:
    """The one answer to every id that names no template of the tenant."""
    return NotFound("There is no such template.", field=field)


async def by_ids(reads: Reads, template_ids: Sequence[UUID]) -> dict[UUID, TemplateRow]:
    """The tenant's templates among these ids, in one statement."""
    rows = await reads.rows_as(TemplateRow, BY_IDS, {"wanted": list(template_ids)})
    return {row.id: row for row in rows}


def texts_of(template: TemplateRow) -> Texts:
    """The template's texts alone."""
    return Texts(subject=template.subject, html_content=template.html_content, text_content=template.text_content)


async def page(reads: Reads, request: PageRequest) -> Page[TemplateRow]:
    """A page of the tenant's templates, by name."""
    statement = EVERY_TEMPLATE.paged(BY_NAME, request)
    rows = await reads.rows_as(TemplateRow, statement, pages.positions(BY_NAME, request))
    return pages.page_of(rows, BY_NAME, request)


async def count(reads: Reads) -> int:
    """How many templates the tenant has."""
    return int((await reads.rows(HOW_MANY))[0][0])


async def create(uow: UnitOfWork, values: Changes) -> TemplateRow:
    """A new template. Raises `NameTaken`, and for its texts what `services.content.check_content` raises."""
    name = check_name(values.get("name") or "")
    texts = with_changes(EMPTY, values)
    await check_content(**texts)
    row = insert(Template).values(id=new_id(), organization_id=uow.tenant.organization_id, name=name, **texts)
    try:
        rows = await uow.rows_as(TemplateRow, row.returning(*COLUMNS))
    except IntegrityError as error:
        raise _name_taken(name) from error
    await audit.record(uow, "template.created", rows[0].id, {"name": name})
    return rows[0]


async def update(uow: UnitOfWork, template_id: UUID | None, changes: Changes) -> TemplateRow:
    """Change a template; campaigns made from it keep the texts they have. Raises as `create`, and `NotFound`."""
    found = await _locked(uow, template_id)
    texts = with_changes(texts_of(found), changes)
    name = changed_name(changes["name"]) if "name" in changes else found.name
    await check_content(**texts)
    row = change(Template).where(Template.id == found.id).values(name=name, **texts, updated_at=func.now())
    try:
        rows = await uow.rows_as(TemplateRow, row.returning(*COLUMNS))
    except IntegrityError as error:
        raise _name_taken(name) from error
    await audit.record(uow, "template.updated", found.id, {"changed": sorted(changes)})
    return rows[0]


async def delete(uow: UnitOfWork, template_id: UUID | None) -> TemplateRow:
    """Delete a template, and give it back as it was; campaigns made from it stay. Raises `NotFound`."""
    found = await demand_template(uow, template_id)
    await uow.execute(delete_from(Template).where(Template.id == found.id))
    await audit.record(uow, "template.deleted", found.id, {"name": found.name})
    return found


async def _locked(uow: UnitOfWork, template_id: UUID | None) -> TemplateRow:
    """The template, held until the unit of work ends: of two changes at once neither takes back the other's."""
    rows = await uow.rows_as(TemplateRow, BY_ID.with_for_update(), {"wanted": template_id})
    if not rows:
        raise no_such_template()
    return rows[0]


def _name_taken(name: str) -> NameTaken:
    return NameTaken(f"There is a template named {name!r} already.", field=("input", "name"))
