"""Templates: texts to start a campaign from, and previews."""

import strawberry

from schema.errors import USER_ERRORS, UserError
from schema.nodes import Node
from schema.nulls import REFUSED
from schema.scalars import DateTime

NAME = "Name of the template, 1 to 200 characters on one line. `TAKEN` if another template has this name."
SUBJECT = "Subject line as a Liquid template, one line of at most 998 characters."
HTML = "HTML as a Liquid template, at most 512 KiB. `TEMPLATE_INVALID` with line and column if it cannot be parsed."
TEXT = "Plain text as a Liquid template, at most 512 KiB. If it is empty, the text is generated from the HTML."
CLEARS = " If omitted, it stays unchanged; `null` clears it."
EMPTY = " If omitted or `null`, it is empty."
TEMPLATE_ID = "ID of the template. `NOT_FOUND` if there is no such template."


@strawberry.type(
    description=(
        "Content from which campaigns can be created. A campaign gets a copy, so later changes to the template "
        "do not affect it."
    )
)
class Template(Node):
    name: str = strawberry.field(description="Name of the template, 1 to 200 characters. Unique in the organization.")
    subject: str = strawberry.field(description=SUBJECT)
    html_content: str = strawberry.field(description="HTML as a Liquid template, at most 512 KiB, as it was saved.")
    text_content: str = strawberry.field(description=TEXT)
    created_at: DateTime = strawberry.field(description="The time at which the template was created.")
    updated_at: DateTime = strawberry.field(description="The time of the latest change.")


@strawberry.input(description="Input of `createTemplate`.")
class CreateTemplateInput:
    name: str = strawberry.field(description=NAME)
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + EMPTY)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + EMPTY)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + EMPTY)


@strawberry.type(description="The result of `createTemplate`.")
class CreateTemplatePayload:
    template: Template | None = strawberry.field(
        default=None, description="The new template. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `updateTemplate`. Omitted fields stay unchanged.")
class UpdateTemplateInput:
    template_id: strawberry.ID = strawberry.field(description=TEMPLATE_ID)
    name: str | None = strawberry.field(
        default=strawberry.UNSET, description=f"{NAME} If omitted, it stays unchanged. {REFUSED}"
    )
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + CLEARS)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + CLEARS)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + CLEARS)


@strawberry.type(description="The result of `updateTemplate`.")
class UpdateTemplatePayload:
    template: Template | None = strawberry.field(
        default=None, description="The template. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `deleteTemplate`.")
class DeleteTemplateInput:
    template_id: strawberry.ID = strawberry.field(description=TEMPLATE_ID)


@strawberry.type(description="The result of `deleteTemplate`.")
class DeleteTemplatePayload:
    deleted_template_id: strawberry.ID | None = strawberry.field(
        default=None, description="ID of the deleted template. `null` if the mutation was refused."
    )
    template: Template | None = strawberry.field(
        default=None, description="The template as it was before deletion. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `renderPreview`: the content to render and the contact to render it for.")
class RenderPreviewInput:
    subject: str = strawberry.field(default="", description=SUBJECT)
    html_content: str = strawberry.field(default="", description=HTML)
    text_content: str = strawberry.field(default="", description=TEXT)
    name: str = strawberry.field(default="Preview", description="Campaign name, the value of `{{ campaign.name }}`.")
    contact_id: strawberry.ID | None = strawberry.field(
        default=None,
        description=(
            "ID of the contact whose data is used. If omitted, a fictional contact, Ada Lovelace, is used. "
            "`NOT_FOUND` if there is no such contact. Requires the permission `contact:read`."
        ),
    )


@strawberry.type(
    description=(
        "A rendered message. It is what a recipient would get, except that its unsubscribe link has no effect."
    )
)
class RenderedPreview:
    subject: str | None = strawberry.field(
        default=None, description="The rendered subject line. `null` if there are errors."
    )
    html_content: str | None = strawberry.field(
        default=None,
        description=(
            "The rendered HTML. It has a footer with an unsubscribe link if the content shows none. `null` if "
            "there are errors."
        ),
    )
    text_content: str | None = strawberry.field(
        default=None, description="The rendered plain text. `null` if there are errors."
    )
    user_errors: list[UserError] = strawberry.field(
        default_factory=list,
        description="Errors of the input; those of a template contain line and column. Empty on success.",
    )
