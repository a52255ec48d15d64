import strawberry

from schema.campaigns.campaign import Campaign
from schema.campaigns.drafting import CAMPAIGN_ID
from schema.errors import USER_ERRORS, UserError
from schema.nulls import never_null
from schema.scalars import DateTime, EmailAddress


@strawberry.type(description="Whether a campaign could be sent now, and what its author should know before.")
class CampaignValidation:
    valid: bool = strawberry.field(description="Whether `sendCampaign` would start it now.")
    errors: list[UserError] = strawberry.field(description="What forbids sending it; empty when valid.")
    warnings: list[str] = strawberry.field(
        description="Warnings, one sentence each: unknown variables, what mail clients strip or clip."
    )
    audience: int = strawberry.field(description="Contacts that the audience names at this moment.")
    skipped_estimate: int = strawberry.field(
        description="How many of them would be skipped, being unsubscribed or suppressed at this moment."
    )


@strawberry.input(description="The campaign to send.")
class SendCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    idempotency_key: str | None = never_null(
        "1 to 255 characters of your choice. For 24 hours, repeating the call with the same key answers with the "
        "same campaign and starts nothing; with other arguments it is refused: IDEMPOTENCY_KEY_REUSED. A call "
        "that was refused does not use up its key."
    )


@strawberry.type(description="The campaign now being sent, or why it was refused.")
class SendCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The campaign. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to pause.")
class PauseCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The paused campaign, or why it is not paused.")
class PauseCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The campaign. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to go on with.")
class ResumeCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The campaign that is being sent again, or why it is not.")
class ResumeCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The campaign. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The campaign to stop for good.")
class CancelCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The campaign being cancelled, or why it is not.")
class CancelCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign, CANCELLING now and CANCELLED in a moment. Null on refusal."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The draft to send later, and when.")
class ScheduleCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    scheduled_at: DateTime = strawberry.field(
        description="When to start sending, to within a few seconds; in the future, at most 366 days ahead."
    )


@strawberry.type(description="The scheduled campaign, or why it is not scheduled.")
class ScheduleCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The campaign. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="The scheduled campaign to make a draft again.")
class UnscheduleCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The draft, or why it is none.")
class UnscheduleCampaignPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The draft. Null on refusal.")
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="A test message, and to whom.")
class SendTestEmailInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    to: list[EmailAddress] = strawberry.field(
        description=(
            "1 to 10 addresses; INVALID_EMAIL for what is none, INVALID for one that is suppressed or, in "
            "production, neither a member's nor a confirmed sender's."
        )
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None, description="The contact whose fields fill the template; a made-up Ada Lovelace when left out."
    )


@strawberry.type(description="Who was sent the test message, or why nobody was.")
class SendTestEmailPayload:
    campaign: Campaign | None = strawberry.field(default=None, description="The campaign. Null on refusal.")
    sent_to: list[EmailAddress] = strawberry.field(
        default_factory=list, description="The addresses for which the provider accepted the message."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
