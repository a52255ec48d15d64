import strawberry

from models.campaigns import OnDoubt
from schema.campaigns.campaign import Campaign
from schema.errors import USER_ERRORS, UserError
from schema.nulls import REFUSED, never_null

CAMPAIGN_ID = "Global id of the campaign; NOT_FOUND for any other."
SUBJECT = "The subject line, a Liquid template: one line of at most 998 characters."
HTML = (
    "The HTML, a Liquid template of at most 512 KiB. A recipient who would see no link to `{{ unsubscribeUrl }}` "
    "gets a footer with one; a mention in a comment, a hidden element or a branch not taken is no link. "
    "TEMPLATE_INVALID tells line and column of what does not parse."
)
TEXT = (
    "The text part, a Liquid template of at most 512 KiB; when empty, it is made from the HTML that each recipient "
    "gets. Where it does not show `{{ unsubscribeUrl }}` a footer does."
)
SENDER = "Global id of the sender; NOT_FOUND for any other. In production it can be confirmed later, before sending."
CLEARS = " Left out it stays; null clears it."
FROM_TEMPLATE = " Left out, the text of the template, if there is one; null is empty."


@strawberry.input(description="Whom a campaign is meant for. At most 100 lists and tags together.")
class AudienceInput:
    all: bool = strawberry.field(default=False, description="Include every contact.")
    list_ids: list[strawberry.ID] | None = never_null(
        "Include the contacts on any of these lists; NOT_FOUND for an unknown one."
    )
    tags: list[str] | None = never_null("Include the contacts with any of these tags, in exact case.")
    exclude_list_ids: list[strawberry.ID] | None = never_null("Leave out the contacts on any of these lists.")
    exclude_tags: list[str] | None = never_null("Leave out the contacts with any of these tags.")


@strawberry.input(description="How a campaign is sent.")
class CampaignSettingsInput:
    on_doubt: OnDoubt | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "What happens to a message that may or may not have been sent. Left out it stays, or is "
            "RECONCILE_THEN_RETRY in a new campaign; null is RECONCILE_THEN_RETRY."
        ),
    )


@strawberry.input(description="A new draft. Only the name is needed; what is missing can be added before sending.")
class CreateCampaignInput:
    name: str = strawberry.field(
        description="Internal name, not shown to recipients. 1 to 200 characters on one line."
    )
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + FROM_TEMPLATE)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + FROM_TEMPLATE)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + FROM_TEMPLATE)
    template_id: strawberry.ID | None = strawberry.field(
        default=None, description="A template whose texts are taken where this input leaves them out."
    )
    sender_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description=SENDER + " Left out or null, the organization's default sender."
    )
    audience: AudienceInput | None = strawberry.field(
        default=strawberry.UNSET, description="Nobody when left out or null."
    )
    settings: CampaignSettingsInput | None = strawberry.field(
        default=strawberry.UNSET, description="How it is sent; the defaults when left out or null."
    )


@strawberry.type(description="The new draft, or why there is none.")
class CreateCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The new draft. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Changes of a draft. What is left out stays as it is.")
class UpdateCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    version: int | None = never_null(
        "The version that you read; CONFLICT when somebody has changed the campaign since. Left out, "
        "your change goes over theirs."
    )
    name: str | None = strawberry.field(
        default=strawberry.UNSET, description=f"1 to 200 characters on one line. Left out it stays. {REFUSED}"
    )
    subject: str | None = strawberry.field(default=strawberry.UNSET, description=SUBJECT + CLEARS)
    html_content: str | None = strawberry.field(default=strawberry.UNSET, description=HTML + CLEARS)
    text_content: str | None = strawberry.field(default=strawberry.UNSET, description=TEXT + CLEARS)
    sender_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description=SENDER + " Left out it stays; null means the default sender."
    )
    audience: AudienceInput | None = strawberry.field(
        default=strawberry.UNSET, description="The whole audience, in place of the one before." + CLEARS
    )
    settings: CampaignSettingsInput | None = strawberry.field(
        default=strawberry.UNSET, description="How it is sent. Left out it stays; null means the defaults."
    )


@strawberry.type(description="The changed draft, or why it was not changed.")
class UpdateCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The changed draft. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to delete.")
class DeleteCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The deleted campaign as it last was, or why it is still there.")
class DeleteCampaignPayload:
    deleted_campaign_id: strawberry.ID | None = strawberry.field(
        default=None, description="Global id of what was deleted; it answers as unknown now. Null on refusal."
    )
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign as it last was. Null on refusal."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to copy.")
class DuplicateCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The copy, or why there is none.")
class DuplicateCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description='The new draft, named "Copy of ...". Null on refusal.'
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to archive, or to take back.")
class ArchiveCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    archived: bool = strawberry.field(default=True, description="Whether it is archived then; false takes it back.")
    version: int | None = never_null(
        "The version that you read; CONFLICT when somebody has changed the campaign since. Left out, "
        "any version is taken."
    )


@strawberry.type(description="The campaign as it is now, or why it was neither archived nor taken back.")
class ArchiveCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="As it is now. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
