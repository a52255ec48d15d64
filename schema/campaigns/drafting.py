import strawberry

from models.campaigns import OnDoubt
from schema.campaigns.campaign import Campaign
from schema.errors import USER_ERRORS, UserError
from schema.nulls import REFUSED, never_null, omittable, without_nulls

CAMPAIGN_ID = "ID of the campaign. `NOT_FOUND` if there is no such campaign."
SUBJECT = "Subject line as a Liquid template, one line of at most 998 characters."
HTML = (
    "HTML as a Liquid template, at most 512 KiB. `TEMPLATE_INVALID` with line and column if it cannot be "
    "parsed.\n\n"
    "A message that does not show the link `{{ unsubscribeUrl }}` gets a footer with that link. A link in a "
    "comment, in a hidden element or in a branch that is not rendered does not count as shown."
)
TEXT = (
    "Plain text as a Liquid template, at most 512 KiB. If it is empty, the text is generated from each "
    "recipient's HTML. A plain text that does not show `{{ unsubscribeUrl }}` gets a footer with it."
)
SENDER = (
    "ID of the sender. `NOT_FOUND` if there is no such sender. In production, it must be confirmed before "
    "the campaign is sent."
)
CLEARS = " If omitted, it stays unchanged; `null` clears it."
FROM_TEMPLATE = (
    " If omitted, it is copied from the template, or empty if there is no template; `null` makes it empty."
)


@strawberry.input(
    description=without_nulls(
        "The contacts to whom a campaign is sent, see `Audience`. At most 100 lists and tags in total; "
        "`TOO_MANY` for more."
    )
)
class AudienceInput:
    all: bool = strawberry.field(default=False, description="Whether all contacts are included.")
    list_ids: list[strawberry.ID] | None = omittable(
        "IDs of lists whose contacts are included. `NOT_FOUND` if a list does not exist."
    )
    tags: list[str] | None = omittable("Tags whose contacts are included, case-sensitive.")
    exclude_list_ids: list[strawberry.ID] | None = omittable(
        "IDs of lists whose contacts are excluded. `NOT_FOUND` if a list does not exist."
    )
    exclude_tags: list[str] | None = omittable("Tags whose contacts are excluded, case-sensitive.")


@strawberry.input(description="Settings for sending a campaign.")
class CampaignSettingsInput:
    on_doubt: OnDoubt | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "What happens to a message if it remains unknown whether it was sent. If omitted, it stays "
            "unchanged, or is `RECONCILE_THEN_RETRY` for a new campaign. `null` sets `RECONCILE_THEN_RETRY`."
        ),
    )


@strawberry.input(
    description="Input of `createCampaign`. Only the name is required; the rest can be added before sending."
)
class CreateCampaignInput:
    name: str = strawberry.field(
        description="Internal name, 1 to 200 characters on one line. Recipients do not see it."
    )
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + FROM_TEMPLATE)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + FROM_TEMPLATE)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + FROM_TEMPLATE)
    template_id: strawberry.ID | None = strawberry.field(
        default=None,
        description=(
            "ID of a template. Its subject, HTML and text are copied unless the input has them. `NOT_FOUND` if "
            "there is no such template."
        ),
    )
    sender_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description=SENDER + " If omitted or `null`, the organization's default sender is used.",
    )
    audience: AudienceInput | None = strawberry.field(
        default=strawberry.UNSET, description="Audience of the campaign. If omitted or `null`, it is empty."
    )
    settings: CampaignSettingsInput | None = strawberry.field(
        default=strawberry.UNSET, description="Settings for sending. If omitted or `null`, the defaults are used."
    )


@strawberry.type(description="The result of `createCampaign`.")
class CreateCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The new draft. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `updateCampaign`. Omitted fields stay unchanged.")
class UpdateCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    version: int | None = never_null(
        "The `version` on which the change is based. `CONFLICT` if the campaign has changed since. If "
        "omitted, changes of others are overwritten."
    )
    name: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=f"Internal name, 1 to 200 characters on one line. If omitted, it stays unchanged. {REFUSED}",
    )
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + CLEARS)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + CLEARS)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + CLEARS)
    sender_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description=SENDER + " If omitted, it stays unchanged; `null` selects the default sender.",
    )
    audience: AudienceInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Audience of the campaign. It replaces the previous audience as a whole." + CLEARS,
    )
    settings: CampaignSettingsInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Settings for sending. If omitted, they stay unchanged; `null` resets them to the defaults.",
    )


@strawberry.type(description="The result of `updateCampaign`.")
class UpdateCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The changed draft. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `deleteCampaign`.")
class DeleteCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `deleteCampaign`.")
class DeleteCampaignPayload:
    deleted_campaign_id: strawberry.ID | None = strawberry.field(
        default=None, description="ID of the deleted campaign. `null` if the mutation was refused."
    )
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign as it was before deletion. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `duplicateCampaign`.")
class DuplicateCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `duplicateCampaign`.")
class DuplicateCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None,
        description=(
            'The new draft. Its name is "Copy of " and the name of the original. `null` if the mutation was refused.'
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `archiveCampaign`.")
class ArchiveCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    archived: bool = strawberry.field(
        default=True, description="Whether to archive the campaign. `false` unarchives it."
    )
    version: int | None = never_null(
        "The `version` on which the change is based. `CONFLICT` if the campaign has changed since. If "
        "omitted, the version is not checked."
    )


@strawberry.type(description="The result of `archiveCampaign`.")
class ArchiveCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
