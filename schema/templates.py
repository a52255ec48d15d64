"""Templates: texts to start a campaign from, and previews."""

import strawberry

from schema.errors import USER_ERRORS, UserError
from schema.nodes import Node
from schema.nulls import REFUSED
from schema.scalars import DateTime

NAME = "1 to 200 characters on one line, unique in the organization: TAKEN otherwise."
SUBJECT = "The subject line, a Liquid template: one line of at most 998 characters."
HTML = (
    "The HTML, a Liquid template of at most 512 KiB. TEMPLATE_INVALID tells line and column of what does not parse."
)
TEXT = "The text part, a Liquid template of at most 512 KiB; when empty, it is made from the HTML."
CLEARS = " Left out it stays; null clears it."
EMPTY = " Left out or null, it is empty."
TEMPLATE_ID = "Global id of the template; NOT_FOUND for any other."


@strawberry.type(description="Texts to start a campaign from. Campaigns copy them: changing a template changes none.")
class Template(Node):
    name: str = strawberry.field(description="The name, unique in the organization.")
    subject: str = strawberry.field(description=SUBJECT)
    html_content: str = strawberry.field(description="The HTML, a Liquid template, as it was saved.")
    text_content: str = strawberry.field(description=TEXT)
    created_at: DateTime = strawberry.field(description="When it was made.")
    updated_at: DateTime = strawberry.field(description="When it last changed.")


@strawberry.input(description="A new template.")
class CreateTemplateInput:
    name: str = strawberry.field(description=NAME)
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + EMPTY)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + EMPTY)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + EMPTY)


@strawberry.type(description="The new template, or why there is none.")
class CreateTemplatePayload:
    template: Template | None = strawberry.field(default=None, description="The new template. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Changes of a template. What is left out stays as it is.")
class UpdateTemplateInput:
    template_id: strawberry.ID = strawberry.field(description=TEMPLATE_ID)
    name: str | None = strawberry.field(default=strawberry.UNSET, description=f"{NAME} Left out it stays. {REFUSED}")
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + CLEARS)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + CLEARS)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + CLEARS)


@strawberry.type(description="The changed template, or why it was not changed.")
class UpdateTemplatePayload:
    template: Template | None = strawberry.field(default=None, description="The template. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The template to delete.")
class DeleteTemplateInput:
    template_id: strawberry.ID = strawberry.field(description=TEMPLATE_ID)


@strawberry.type(description="The deleted template as it last was, or why it is still there.")
class DeleteTemplatePayload:
    deleted_template_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of what was deleted; it answers as unknown now. Null on refusal."
    )
    template: Template | None = strawberry.field(
        default=None, description="The template as it last was. Null on refusal."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Texts to preview, and the contact whose fields fill them.")
class RenderPreviewInput:
    subject: str = strawberry.field(default="", description=SUBJECT)
    html_content: str = strawberry.field(default="", description=HTML)
    text_content: str = strawberry.field(default="", description=TEXT)
    name: str = strawberry.field(default="Preview", description="What `{{ campaign.name }}` shows.")
    contact_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The contact whose fields fill the template; a made-up Ada Lovelace when left out. The error "
        "NOT_FOUND for an unknown one.",
    )


@strawberry.type(description="A message as it is sent, but for the unsubscribe link, which leads nowhere.")
class RenderedPreview:
    subject: str | None = strawberry.field(default=None, description="The subject. Null when a text has an error.")
    html_content: str | None = strawberry.field(
        default=None,
        description="The HTML, with the footer for readers who would see no unsubscribe link. Null on error.",
    )
    text_content: str | None = strawberry.field(default=None, description="The text part. Null on error.")
    user_errors: list[UserError] = strawberry.field(
        default_factory=list, description="What is wrong with the texts, with line and column; empty on success."
    )
