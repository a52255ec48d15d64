import strawberry

from core.access.permissions import Permission
from resolvers.campaigns.showing import campaign_of
from resolvers.context import Info
from resolvers.fields import Requires, mutation
from resolvers.inputs import optional_value
from schema.campaigns.sending import (
    CancelCampaignInput,
    CancelCampaignPayload,
    PauseCampaignInput,
    PauseCampaignPayload,
    ResumeCampaignInput,
    ResumeCampaignPayload,
    ScheduleCampaignInput,
    ScheduleCampaignPayload,
    SendCampaignInput,
    SendCampaignPayload,
    SendTestEmailInput,
    SendTestEmailPayload,
    UnscheduleCampaignInput,
    UnscheduleCampaignPayload,
)
from schema.nodes import optional_uuid_of, uuid_of
from schema.scalars import EmailAddress
from services.campaigns import sending, test_sends


@strawberry.type
class SendingMutations:
    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.sent")
    async def send_campaign(self, info: Info, input: SendCampaignInput) -> SendCampaignPayload:  # noqa: A002 - the contract's name
        """Start sending a draft, or a scheduled campaign ahead of its time.

        CAMPAIGN_NOT_SENDABLE tells everything that is missing, SENDER_NOT_CONFIRMED that in production its sender has
        not agreed yet, FEATURE_UNAVAILABLE that the installation has no mail provider. CONFLICT or INVALID_STATE when
        another request was faster. From here on renaming the sender does not change what goes out. Pass an
        `idempotencyKey` to make repeating the call safe.
        """
        async with info.context.work() as uow:
            row = await sending.send(
                uow,
                uuid_of("Campaign", input.campaign_id),
                policy=info.context.dependencies.sender_policy,
                idempotency_key=optional_value(input.idempotency_key, "input", "idempotencyKey"),
            )
        return SendCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.paused")
    async def pause_campaign(self, info: Info, input: PauseCampaignInput) -> PauseCampaignPayload:  # noqa: A002 - the same
        """Hold a campaign that is SENDING; messages that the provider has are not held. INVALID_STATE otherwise."""
        async with info.context.work() as uow:
            row = await sending.pause(uow, uuid_of("Campaign", input.campaign_id))
        return PauseCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.resumed")
    async def resume_campaign(self, info: Info, input: ResumeCampaignInput) -> ResumeCampaignPayload:  # noqa: A002 - the same
        """Go on with a PAUSED campaign where it was held. INVALID_STATE otherwise.

        FEATURE_UNAVAILABLE where the installation has no mail provider.
        """
        async with info.context.work() as uow:
            row = await sending.resume(
                uow, uuid_of("Campaign", input.campaign_id), policy=info.context.dependencies.sender_policy
            )
        return ResumeCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.cancelled")
    async def cancel_campaign(self, info: Info, input: CancelCampaignInput) -> CancelCampaignPayload:  # noqa: A002 - the same
        """Stop a campaign for good: whoever has no message yet gets none. INVALID_STATE for drafts and final ones."""
        async with info.context.work() as uow:
            row = await sending.cancel(uow, uuid_of("Campaign", input.campaign_id))
        return CancelCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.scheduled")
    async def schedule_campaign(self, info: Info, input: ScheduleCampaignInput) -> ScheduleCampaignPayload:  # noqa: A002 - the same
        """Have a draft sent at a moment; it must be sendable now. To move the moment, unschedule it first.

        Refused as `sendCampaign` is.
        """
        async with info.context.work() as uow:
            row = await sending.schedule(
                uow,
                uuid_of("Campaign", input.campaign_id),
                input.scheduled_at,
                policy=info.context.dependencies.sender_policy,
            )
        return ScheduleCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.unscheduled")
    async def unschedule_campaign(self, info: Info, input: UnscheduleCampaignInput) -> UnscheduleCampaignPayload:  # noqa: A002
        """Make a SCHEDULED campaign a draft again. INVALID_STATE otherwise."""
        async with info.context.work() as uow:
            row = await sending.unschedule(uow, uuid_of("Campaign", input.campaign_id))
        return UnscheduleCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.tested")
    async def send_test_email(self, info: Info, input: SendTestEmailInput) -> SendTestEmailPayload:  # noqa: A002 - the same
        """Send a campaign in any state to up to 10 addresses, its subject after "[Test] ".

        It counts nowhere, and its unsubscribe link unsubscribes nobody. PROVIDER_REFUSED when no message was taken.
        In production the sender must be confirmed, the addresses those of members or confirmed senders, and an
        organization sends at most 200 a day (RATE_LIMITED). FEATURE_UNAVAILABLE where there is no mail provider.
        """
        sent = await test_sends.send(
            info.context.dependencies.test_sends,
            info.context.caller,
            uuid_of("Campaign", input.campaign_id),
            input.to,
            contact_id=optional_uuid_of("Contact", input.contact_id),
        )
        return SendTestEmailPayload(
            campaign=campaign_of(sent.campaign), sent_to=[EmailAddress(each) for each in sent.sent_to]
        )
