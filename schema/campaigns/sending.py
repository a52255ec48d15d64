import strawberry

from schema.campaigns.campaign import Campaign
from schema.campaigns.drafting import CAMPAIGN_ID
from schema.errors import USER_ERRORS, UserError
from schema.nulls import never_null
from schema.scalars import DateTime, EmailAddress


@strawberry.type(description="The result of checking whether a campaign can be sent.")
class CampaignValidation:
    valid: bool = strawberry.field(description="Whether `sendCampaign` would succeed now.")
    errors: list[UserError] = strawberry.field(
        description="Reasons why the campaign cannot be sent. Empty if it is valid."
    )
    warnings: list[str] = strawberry.field(
        description=(
            "Problems that do not prevent sending, one sentence each, for example unknown variables or content "
            "that mail clients remove or truncate."
        )
    )
    audience: int = strawberry.field(
        description="Number of contacts that the audience includes at present, as in `Campaign.audience { count }`."
    )
    skipped_estimate: int = strawberry.field(
        description="Number of these contacts who would be skipped, because they must not be mailed at present."
    )


@strawberry.input(description="Input of `sendCampaign`.")
class SendCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    idempotency_key: str | None = never_null(
        "A unique key of your choice, 1 to 255 characters. For 24 hours, a repeated call with the same key "
        "returns the same campaign and starts nothing. With other arguments it is refused with "
        "`IDEMPOTENCY_KEY_REUSED`. A refused call does not use up its key."
    )


@strawberry.type(description="The result of `sendCampaign`.")
class SendCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign, now being sent. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `pauseCampaign`.")
class PauseCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `pauseCampaign`.")
class PauseCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The paused campaign. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `resumeCampaign`.")
class ResumeCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `resumeCampaign`.")
class ResumeCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign with the status `SENDING`. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `cancelCampaign`.")
class CancelCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `cancelCampaign`.")
class CancelCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None,
        description=(
            "The campaign. Its status is `CANCELLING`. It becomes `CANCELLED` when the outcomes of all submitted "
            "messages are known, usually within seconds. `null` if the mutation was refused."
        ),
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `scheduleCampaign`.")
class ScheduleCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    scheduled_at: DateTime = strawberry.field(
        description=(
            "The time at which to start sending. It must be in the future, at most 366 days ahead. Sending "
            "starts within a few seconds of it."
        )
    )


@strawberry.type(description="The result of `scheduleCampaign`.")
class ScheduleCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The scheduled campaign. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `unscheduleCampaign`.")
class UnscheduleCampaignInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)


@strawberry.type(description="The result of `unscheduleCampaign`.")
class UnscheduleCampaignPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign, a draft again. `null` if the mutation was refused."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)


@strawberry.input(description="Input of `sendTestEmail`.")
class SendTestEmailInput:
    campaign_id: strawberry.ID = strawberry.field(description=CAMPAIGN_ID)
    to: list[EmailAddress] = strawberry.field(
        description=(
            "Addresses of the recipients, 1 to 10. `INVALID_EMAIL` for a malformed address. `INVALID` for a "
            "suppressed address and, in production, for one that belongs to neither a member nor a confirmed "
            "sender."
        )
    )
    contact_id: strawberry.ID | None = strawberry.field(
        default=None,
        description=(
            "ID of the contact whose data is used. If omitted, a fictional contact, Ada Lovelace, is used. "
            "`NOT_FOUND` if there is no such contact. Requires the permission `contact:read`."
        ),
    )


@strawberry.type(description="The result of `sendTestEmail`.")
class SendTestEmailPayload:
    campaign: Campaign | None = strawberry.field(
        default=None, description="The campaign. `null` if the mutation was refused."
    )
    sent_to: list[EmailAddress] = strawberry.field(
        default_factory=list, description="The addresses for which the mail provider accepted the message."
    )
    user_errors: list[UserError] = strawberry.field(default_factory=list, description=USER_ERRORS)
