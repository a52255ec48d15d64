import strawberry

from core.access.permissions import Permission
from resolvers.campaigns.mapping import campaign_of
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
        """Start sending a draft, or a scheduled campaign before its time.

        `CAMPAIGN_NOT_SENDABLE` with all reasons if the campaign is incomplete. `SENDER_NOT_CONFIRMED` in production
        if its sender is not confirmed. `FEATURE_UNAVAILABLE` if the installation has no mail provider.
        `INVALID_STATE` for a campaign with any other status, `CONFLICT` if another request has changed it at the same
        time.

        Later changes of the sender's name do not affect the campaign. Pass an `idempotencyKey` to be able to repeat
        the call safely.
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
        """Pause a campaign that is `SENDING`. `INVALID_STATE` for any other campaign.

        Messages that were already submitted to the mail provider are not stopped.
        """
        async with info.context.work() as uow:
            row = await sending.pause(uow, uuid_of("Campaign", input.campaign_id))
        return PauseCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.resumed")
    async def resume_campaign(self, info: Info, input: ResumeCampaignInput) -> ResumeCampaignPayload:  # noqa: A002 - the same
        """Continue sending a `PAUSED` campaign. `INVALID_STATE` for any other campaign.

        `FEATURE_UNAVAILABLE` if the installation has no mail provider.
        """
        async with info.context.work() as uow:
            row = await sending.resume(
                uow, uuid_of("Campaign", input.campaign_id), policy=info.context.dependencies.sender_policy
            )
        return ResumeCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.cancelled")
    async def cancel_campaign(self, info: Info, input: CancelCampaignInput) -> CancelCampaignPayload:  # noqa: A002 - the same
        """Cancel a campaign permanently. Recipients who have not been mailed yet get no message.

        `INVALID_STATE` for a draft, for a campaign with a final status, and for one that is being cancelled.
        """
        async with info.context.work() as uow:
            row = await sending.cancel(uow, uuid_of("Campaign", input.campaign_id))
        return CancelCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.scheduled")
    async def schedule_campaign(self, info: Info, input: ScheduleCampaignInput) -> ScheduleCampaignPayload:  # noqa: A002 - the same
        """Schedule a draft to be sent at a given time.

        The draft is checked immediately, with the same errors as in `sendCampaign`. `INVALID` for a time in the past
        or more than 366 days ahead. To change the time, unschedule the campaign first.
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
        """Turn a `SCHEDULED` campaign back into a draft. `INVALID_STATE` for any other campaign."""
        async with info.context.work() as uow:
            row = await sending.unschedule(uow, uuid_of("Campaign", input.campaign_id))
        return UnscheduleCampaignPayload(campaign=campaign_of(row))

    @mutation(Requires(Permission.CAMPAIGN_SEND), audit="campaign.tested")
    async def send_test_email(self, info: Info, input: SendTestEmailInput) -> SendTestEmailPayload:  # noqa: A002 - the same
        """Send a campaign with any status to up to 10 addresses as a test, with "[Test] " before its subject.

        Test messages are not counted in statistics, and their unsubscribe links have no effect.

        `PROVIDER_REFUSED` if the mail provider accepted none of the messages. `FEATURE_UNAVAILABLE` if the
        installation has no mail provider. In production, the sender must be confirmed, each address must belong to a
        member or a confirmed sender, and an organization can send 200 test messages a day. Fails with
        the error `RATE_LIMITED` beyond that.
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
