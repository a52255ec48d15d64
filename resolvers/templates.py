"""Templates, and previews of messages."""

from typing import Final, cast

import strawberry

from core.access.permissions import Permission
from core.ids import global_ids
from core.listing.pages import page_request
from execution import Column, rows
from resolvers.context import Info
from resolvers.fields import Requires, mutation, query
from resolvers.inputs import provided_values
from resolvers.listing import connection
from resolvers.nodes import NodeType
from schema.connections import After, Before, Connection, First, Last
from schema.nodes import global_id, optional_uuid_of, uuid_of
from schema.templates import (
    CreateTemplateInput,
    CreateTemplatePayload,
    DeleteTemplateInput,
    DeleteTemplatePayload,
    RenderedPreview,
    RenderPreviewInput,
    Template,
    UpdateTemplateInput,
    UpdateTemplatePayload,
)
from services import templates
from services.messages import previews
from services.messages.content import Texts
from services.templates import TEMPLATES, TemplateChanges, TemplateRow

rows.register(Template, TemplateRow, id=Column("id", global_ids("Template")))
NODES: Final = (NodeType("Template", Permission.TEMPLATE_READ, TEMPLATES.by_ids),)


def _template_of(row: TemplateRow) -> Template:
    """The template of a row: the API's type is read from the row itself."""
    return cast("Template", row)


def _changes_of(input_: CreateTemplateInput | UpdateTemplateInput) -> TemplateChanges:
    """The changes that the client provided, including nulls, without omitted ones."""
    return cast("TemplateChanges", provided_values(input_, "name", "subject", "html_content", "text_content"))


@strawberry.type
class TemplateQueries:
    @query(Requires(Permission.TEMPLATE_READ))
    async def templates(
        self, info: Info, first: First = None, last: Last = None, after: After = None, before: Before = None
    ) -> Connection[Template]:
        """The templates of the organization, sorted by name."""
        return await connection(info, TEMPLATES, page_request(first, last, after, before))

    @query(Requires(Permission.TEMPLATE_READ))
    async def template(self, info: Info, id: strawberry.ID) -> Template | None:  # noqa: A002 - the contract's name
        """A template by its ID, or `null` if it does not exist."""
        template_id = uuid_of("Template", id)
        row = await TEMPLATES.get(info.context.reads, template_id) if template_id else None
        return _template_of(row) if row else None

    @query(Requires(Permission.TEMPLATE_READ), user_errors_in_payload=True)
    async def render_preview(self, info: Info, input: RenderPreviewInput) -> RenderedPreview:  # noqa: A002 - the contract's name
        """Render a subject, HTML and text for a contact. Nothing is stored or sent."""
        reads, contact_id = info.context.reads, optional_uuid_of("Contact", input.contact_id)
        contact = await previews.values_for(reads, info.context.caller, contact_id)
        texts = Texts(subject=input.subject, html_content=input.html_content, text_content=input.text_content)
        rendered = await previews.render(reads, texts, contact, name=input.name)
        return RenderedPreview(subject=rendered.subject, html_content=rendered.html, text_content=rendered.text)


@strawberry.type
class TemplateMutations:
    @mutation(Requires(Permission.TEMPLATE_WRITE), audit="template.created")
    async def create_template(self, info: Info, input: CreateTemplateInput) -> CreateTemplatePayload:  # noqa: A002 - the contract's name
        """Create a template. `TEMPLATE_INVALID` with line and column if its content cannot be parsed."""
        async with info.context.work() as uow:
            row = await templates.create(uow, _changes_of(input))
        return CreateTemplatePayload(template=_template_of(row))

    @mutation(Requires(Permission.TEMPLATE_WRITE), audit="template.updated")
    async def update_template(self, info: Info, input: UpdateTemplateInput) -> UpdateTemplatePayload:  # noqa: A002 - the same
        """Change a template. Campaigns created from it keep their content."""
        async with info.context.work() as uow:
            row = await templates.update(uow, uuid_of("Template", input.template_id), _changes_of(input))
        return UpdateTemplatePayload(template=_template_of(row))

    @mutation(Requires(Permission.TEMPLATE_WRITE), audit="template.deleted")
    async def delete_template(self, info: Info, input: DeleteTemplateInput) -> DeleteTemplatePayload:  # noqa: A002 - the same
        """Delete a template. Campaigns created from it remain."""
        async with info.context.work() as uow:
            row = await templates.delete(uow, uuid_of("Template", input.template_id))
        return DeleteTemplatePayload(deleted_template_id=global_id("Template", row.id), template=_template_of(row))
