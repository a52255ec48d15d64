"""A campaign to a few contacts with a scripted provider, and the invariants of sending."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from core.access.actor import Actor
from core.database.clock import now_plus
from integrations.mail import BatchHeader, Message
from models.campaigns import Campaign, CampaignStatus, OnDoubt
from models.deliveries import OPEN_DELIVERIES, DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.lifecycle import InvalidCampaignState
from services.deliveries.claiming import Claim
from services.deliveries.reconciling import reconcile, record_lookup, reserve_due
from services.deliveries.rendering import CampaignContent, render_batch
from services.deliveries.resolving import IN_DOUBT, DeliveryNotResolvable, resolve
from services.deliveries.sending import CampaignSender
from services.deliveries.submitting import submit
from services.deliveries.sweeping import advance_campaign
from services.mailing.handover import RequestOutcome, hand_over
from services.mailing.lookups import MAX_LOOKUPS, RESERVED_SECONDS, Lookup
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests.deliveries.model import Accepted, ModelMailer
from tests.deliveries.worker import build_sender, expire_leases, finish, go, progress, sending, statuses
from tests.inbox import apply_inbox, deliver

PEOPLE = 6
# The pauses between lookups are longer than a test; `expire` ends one. The search lags less than all of them.
GRACE_SECONDS = 3600.0
LAG = MAX_LOOKUPS - 1
WITHOUT_MESSAGE = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.SKIPPED, DeliveryStatus.FAILED})


@dataclass(slots=True, kw_only=True)
class BatchInProgress:
    """A batch that a worker has claimed, then submitted, then sent to the provider."""

    claim: Claim
    messages: list[Message] | None = None
    outcomes: list[RequestOutcome] | None = None


@dataclass(kw_only=True)
class World:
    """A campaign to six contacts, workers that may crash at any step, and the invariants."""

    runtime: Runtime
    sender: CampaignSender
    mailer: ModelMailer
    actor: Actor
    contacts: list[UUID]
    campaign_id: UUID
    content: CampaignContent
    other_campaign: tuple[Actor, UUID]
    deliveries: dict[UUID, UUID]
    addresses: dict[str, UUID]
    batches: list[BatchInProgress] = field(default_factory=list)
    lookups: list[tuple[Lookup, Mapping[str, str]]] = field(default_factory=list)
    suppressed: set[UUID] = field(default_factory=set)
    wrongly_submitted: list[UUID] = field(default_factory=list)

    @classmethod
    async def make(cls, runtime: Runtime, on_doubt: OnDoubt = OnDoubt.RECONCILE_THEN_RETRY) -> "World":
        """Create an organization with a campaign, and another one that must not change."""
        mailer = ModelMailer(lag=LAG)
        sender = build_sender(runtime, mailer)
        other_actor, _, other = await sending(runtime, 2)
        actor, contacts, campaign_id = await sending(runtime, PEOPLE)
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=on_doubt))
        content = await sender.content_of(actor, campaign_id)
        assert content is not None
        rows = await runtime.reads(actor.tenant).rows(
            select(EmailDelivery.contact_id, EmailDelivery.id, EmailDelivery.email)
        )
        return cls(
            runtime=runtime,
            sender=sender,
            mailer=mailer,
            actor=actor,
            contacts=contacts,
            campaign_id=campaign_id,
            content=content,
            other_campaign=(other_actor, other),
            deliveries={row.contact_id: row.id for row in rows},
            addresses={row.email: row.contact_id for row in rows},
        )

    async def claim(self, limit: int) -> None:
        """T1."""
        self.sender.cursors.clear()
        claimed = await self.sender.claim_batch(self.actor, self.content, limit)
        if claimed.rows:
            self.batches.append(BatchInProgress(claim=claimed))

    async def submit(self, batch: BatchInProgress) -> None:
        """T2: no message to a suppressed address may be submitted."""
        rendered = await render_batch(
            batch.claim, self.content, signer=self.sender.signer, public_url="https://x.example"
        )
        async with self.runtime.work.begin(self.actor) as uow:
            batch.messages = await submit(uow, batch.claim, rendered, self.sender.times)
        self.wrongly_submitted += [
            self.addresses[message.to] for message in batch.messages if self.addresses[message.to] in self.suppressed
        ]

    async def post(self, batch: BatchInProgress, outcome: str) -> None:
        """Send the batch to the provider, with any outcome."""
        self.mailer.outcome = outcome
        header = BatchHeader(
            sender="a@b.example",
            campaign_id=str(self.campaign_id),
            batch_id=str(batch.claim.batch_id),
            tag="t",
        )
        batch.outcomes = await hand_over(
            self.mailer, header, batch.messages or [], deadline=batch.claim.deadline, times=self.sender.times
        )
        self.mailer.outcome = "ok"

    async def record(self, batch: BatchInProgress) -> None:
        """T3, and the effects of the outcome."""
        if batch.outcomes:
            await self.sender.record(self.actor, batch.claim, batch.outcomes)
            await self.sender.apply_backpressure(self.actor, self.campaign_id, batch.outcomes)
            if any(result_is_inactive(request) for request in batch.outcomes):
                await self.note_inactive()

    async def note_inactive(self) -> None:
        """An address that the provider reports as inactive is suppressed from now on."""
        for contact_id, status in (await statuses(self.runtime, self.actor, self.campaign_id)).items():
            if status is DeliveryStatus.REJECTED:
                self.suppressed.add(contact_id)

    async def expire(self) -> None:
        """All leases, reservations and pauses end, on the workers' clocks as well."""
        self.mailer.time += 1
        await expire_leases(self.runtime, self.actor, self.campaign_id)
        for batch in self.batches:
            batch.claim = replace(batch.claim, deadline=0.0)

    async def sweep(self) -> None:
        """One round of the sweeps."""
        work, tenant = self.runtime.work, self.actor
        await advance_campaign(work, tenant, self.campaign_id)
        await reconcile(work, self.mailer, tenant, self.campaign_id, grace_seconds=GRACE_SECONDS)

    async def look_up(self) -> None:
        """A worker looks up a batch at the provider, and will record the result later."""
        async with self.runtime.work.begin(self.actor) as uow:
            lookup = await reserve_due(uow, self.campaign_id)
        if lookup is not None:
            self.lookups.append((lookup, await self.mailer.search_batch(str(lookup.batch_id))))

    async def expire_reservations(self) -> None:
        """The reservations of all lookups end, without a pause between lookups passing."""
        async with self.runtime.work.begin(self.actor) as uow:
            await uow.execute(
                update(EmailDelivery)
                .where(
                    EmailDelivery.campaign_id == self.campaign_id,
                    EmailDelivery.next_lookup_at < now_plus(2 * RESERVED_SECONDS),
                )
                .values(next_lookup_at=EmailDelivery.created_at)
            )

    async def record_lookup(self, lookup: Lookup, message_ids: Mapping[str, str]) -> None:
        """Record a lookup, after any other actions."""
        async with self.runtime.work.begin(self.actor) as uow:
            await record_lookup(uow, self.campaign_id, lookup, message_ids, grace_seconds=GRACE_SECONDS)

    async def change_status(self, to: CampaignStatus) -> None:
        """Pause, resume or cancel, where the status allows it."""
        with suppress(InvalidCampaignState):
            await go(self.runtime, self.actor, self.campaign_id, to)

    async def resolve(self, index: int, *, again: bool) -> None:
        """A user who has checked the provider's records resolves a message in doubt, or tries to."""
        now = await statuses(self.runtime, self.actor, self.campaign_id)
        in_doubt = [self.deliveries[one] for one in self.contacts if now[one] in IN_DOUBT]
        if not in_doubt:
            return
        delivery_id = in_doubt[index % len(in_doubt)]
        if str(delivery_id) in {message.delivery_id for message in self.mailer.accepted}:
            decision = DeliveryResolution.SENT
        else:
            decision = DeliveryResolution.SEND_AGAIN if again else DeliveryResolution.NOT_SENT
        with suppress(DeliveryNotResolvable):
            async with self.runtime.work.begin(self.actor) as uow:
                await resolve(uow, delivery_id, decision, policy=self.runtime.sender_policy)

    async def unsubscribe(self, contact_id: UUID) -> None:
        """A recipient unsubscribes."""
        link = UnsubscribeLink(
            self.actor.organization_id,
            self.campaign_id,
            self.deliveries[contact_id],
            contact_id,
        )
        assert await unsubscribe(self.runtime.work, link)
        self.suppressed.add(contact_id)

    async def receive_webhook(self, message: Accepted, kind: str, times: int) -> None:
        """The provider reports an event of a message, perhaps repeatedly."""
        for _ in range(times):
            await deliver(self.runtime, webhook(message, kind))
        await apply_inbox(self.runtime)
        if kind in ("Bounce", "SpamComplaint"):
            self.suppressed.add(self.addresses[message.to])

    async def check(self) -> None:
        """The invariants that hold after every step."""
        await progress(self.runtime, self.actor, self.campaign_id)
        assert not self.wrongly_submitted, "a message to a suppressed address was submitted"
        for name in ("delivery_id", "to"):
            counts = Counter(getattr(message, name) for message in self.mailer.accepted)
            assert not [one for one, count in counts.items() if count > 1], f"two messages for one {name}"
        now = await statuses(self.runtime, self.actor, self.campaign_id)
        accepted = {self.addresses[message.to] for message in self.mailer.accepted}
        for contact_id, status in now.items():
            if status in (DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED):
                assert contact_id in accepted, f"{status}, but the provider did not get it"

    async def end(self) -> None:
        """Crash all workers, finish all work, and check the final invariants."""
        self.mailer.lag = 0
        await self.expire()
        status = (await progress(self.runtime, self.actor, self.campaign_id)).status
        if status == CampaignStatus.PAUSED:
            await self.change_status(CampaignStatus.SENDING)
        now = await progress(self.runtime, self.actor, self.campaign_id)
        if not now.is_final:
            now = await finish(self.runtime, self.sender, self.actor, self.campaign_id)
        await self.check()
        ends = await statuses(self.runtime, self.actor, self.campaign_id)
        assert len(ends) == PEOPLE
        assert not [status for status in ends.values() if status in OPEN_DELIVERIES], now
        if now.status in (CampaignStatus.SENT, CampaignStatus.SENT_WITH_ISSUES):
            missing = set(ends) - {self.addresses[message.to] for message in self.mailer.accepted}
            without = {one for one, status in ends.items() if status in WITHOUT_MESSAGE}
            assert missing <= without, "a recipient was lost"
        other_actor, other = self.other_campaign
        rows = await statuses(self.runtime, other_actor, other)
        assert set(rows.values()) == {DeliveryStatus.PENDING}, "another tenant's rows were changed"


def result_is_inactive(request: RequestOutcome) -> bool:
    """Whether the provider reported an address of the request as inactive."""
    return any(result.status == "inactive" for result in getattr(request.outcome, "results", ()))


def webhook(message: Accepted, kind: str) -> dict[str, Any]:
    """A webhook about a message."""
    return {
        "RecordType": kind,
        "MessageID": message.message_id,
        "Recipient": message.to,
        "ID": int(message.message_id.replace("-", "")[-12:], 16),
        "Type": {"Bounce": "HardBounce", "SpamComplaint": "SpamComplaint"}.get(kind),
        "Metadata": {
            "batch": message.batch_id,
            "delivery": message.delivery_id,
            "campaign": message.campaign_id,
        },
    }
