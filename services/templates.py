"""Templates: texts to start a campaign from."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert
from sqlalchemy import update as change
from sqlalchemy.exc import IntegrityError

from core.errors import ErrorCode, InvalidInput
from core.ids import new_id
from core.listing.listing import Listing
from core.listing.orders import Order
from core.unit_of_work import UnitOfWork
from models.templates import Template
from services import audit
from services.messages.content import EMPTY, TextChanges, Texts, changed_name, check_content, check_name, with_changes


class TemplateNameTaken(InvalidInput):
    """Another template of the organization has this name."""

    code = ErrorCode.TAKEN


class TemplateChanges(TextChanges, total=False):
    """Changes of a template. An omitted key leaves the value unchanged; None clears a text, but not the name."""

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


TEMPLATES: Final = Listing(
    TemplateRow, Template, noun="template", id_field=("input", "templateId"), order=Order(Template.name)
)


def texts_of(template: TemplateRow) -> Texts:
    """The template's texts alone."""
    return Texts(subject=template.subject, html_content=template.html_content, text_content=template.text_content)


async def create(uow: UnitOfWork, values: TemplateChanges) -> TemplateRow:
    """Create a template. Raises `TemplateNameTaken`, and for its texts what `check_content` raises."""
    name = check_name(values.get("name") or "")
    texts = with_changes(EMPTY, values)
    await check_content(**texts)
    row = insert(Template).values(id=new_id(), organization_id=uow.tenant.organization_id, name=name, **texts)
    try:
        rows = await uow.rows_as(TemplateRow, row.returning(*TEMPLATES.columns))
    except IntegrityError as error:
        raise _name_taken(name) from error
    await audit.record(uow, "template.created", rows[0].id, {"name": name})
    return rows[0]


async def update(uow: UnitOfWork, template_id: UUID | None, changes: TemplateChanges) -> TemplateRow:
    """Change a template; campaigns made from it keep the texts they have. Raises as `create`, and `NotFound`."""
    template = await TEMPLATES.lock(uow, template_id)
    texts = with_changes(texts_of(template), changes)
    name = changed_name(changes["name"]) if "name" in changes else template.name
    await check_content(**texts)
    row = change(Template).where(Template.id == template.id).values(name=name, **texts, updated_at=func.now())
    try:
        rows = await uow.rows_as(TemplateRow, row.returning(*TEMPLATES.columns))
    except IntegrityError as error:
        raise _name_taken(name) from error
    await audit.record(uow, "template.updated", template.id, {"changed": sorted(changes)})
    return rows[0]


async def delete(uow: UnitOfWork, template_id: UUID | None) -> TemplateRow:
    """Delete a template and return it; campaigns made from it stay. Raises `NotFound`."""
    template = await TEMPLATES.require(uow, template_id)
    await uow.execute(delete_from(Template).where(Template.id == template.id))
    await audit.record(uow, "template.deleted", template.id, {"name": template.name})
    return template


def _name_taken(name: str) -> TemplateNameTaken:
    return TemplateNameTaken(f"A template named {name!r} already exists.", field=("input", "name"))
