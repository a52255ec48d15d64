"""A campaign to a few people, a provider that may do anything, and what must never happen."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from core.access.actor import Actor
from core.database.clock import now_plus
from integrations.mail import Envelope, Message
from models.campaigns import Campaign, CampaignStatus, OnDoubt
from models.deliveries import OPEN_DELIVERIES, DeliveryResolution, DeliveryStatus, EmailDelivery
from runtime import Runtime
from services.campaigns.lifecycle import InvalidCampaignState
from services.deliveries.claiming import Claim
from services.deliveries.composing import CampaignMail, compose
from services.deliveries.reconciling import reconcile, record_lookup, reserve_due
from services.deliveries.resolving import IN_DOUBT, DeliveryNotResolvable, resolve
from services.deliveries.sending import Sender
from services.deliveries.submitting import submit
from services.deliveries.sweeping import advance_campaign
from services.mailing.handover import RequestOutcome, hand_over
from services.mailing.lookups import MAX_LOOKUPS, RESERVED_SECONDS, Lookup
from services.suppressions.unsubscribing import UnsubscribeLink, unsubscribe
from tests.deliveries.model import Accepted, ModelMailer
from tests.deliveries.worker import expire_leases, finish, go, progress, sending, statuses
from tests.inbox import apply_inbox, deliver

PEOPLE = 6
# The pauses between lookups outlast any test; `expire` lets one go by. The search lags no longer than all of them.
GRACE_SECONDS = 3600.0
LAG = MAX_LOOKUPS - 1
EXCUSED = frozenset({DeliveryStatus.REJECTED, DeliveryStatus.SKIPPED, DeliveryStatus.FAILED})


@dataclass(slots=True, kw_only=True)
class Held:
    """A batch in a worker's hands: claimed, then submitted, then answered."""

    claim: Claim
    messages: list[Message] | None = None
    outcomes: list[RequestOutcome] | None = None


@dataclass(kw_only=True)
class World:
    """A campaign to six people, workers that may die at any step, and what must never happen."""

    runtime: Runtime
    sender: Sender
    mailer: ModelMailer
    actor: Actor
    contacts: list[UUID]
    campaign_id: UUID
    mail: CampaignMail
    bystander: tuple[Actor, UUID]
    deliveries: dict[UUID, UUID]
    addresses: dict[str, UUID]
    held: list[Held] = field(default_factory=list)
    lookups: list[tuple[Lookup, Mapping[str, str]]] = field(default_factory=list)
    gone: set[UUID] = field(default_factory=set)
    wrongly_passed: list[UUID] = field(default_factory=list)

    @classmethod
    async def make(cls, runtime: Runtime, on_doubt: OnDoubt = OnDoubt.RECONCILE_THEN_RETRY) -> "World":
        """A fresh organization and campaign, and a bystander's."""
        mailer = ModelMailer(lag=LAG)
        sender = Sender(
            settings=runtime.settings.sending,
            public_url=runtime.settings.public_url,
            work=runtime.work,
            system=runtime.system,
            reads=runtime.reads,
            mailer=mailer,
            signer=runtime.unsubscribe_signer,
        )
        stranger, _, other = await sending(runtime, 2)
        actor, contacts, campaign_id = await sending(runtime, PEOPLE)
        async with runtime.work.begin(actor) as uow:
            await uow.execute(update(Campaign).where(Campaign.id == campaign_id).values(on_doubt=on_doubt))
        mail = await sender.mail_of(actor, campaign_id)
        assert mail is not None
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
            mail=mail,
            bystander=(stranger, other),
            deliveries={row.contact_id: row.id for row in rows},
            addresses={row.email: row.contact_id for row in rows},
        )

    async def claim(self, most: int) -> None:
        """T1."""
        self.sender.cursors.clear()
        claimed = await self.sender.claim_batch(self.actor, self.mail, most)
        if claimed.rows:
            self.held.append(Held(claim=claimed))

    async def submit(self, held: Held) -> None:
        """T2: nobody who is gone by now may pass."""
        composed = await compose(held.claim, self.mail, signer=self.sender.signer, public_url="https://x.example")
        async with self.runtime.work.begin(self.actor) as uow:
            held.messages = await submit(uow, held.claim, composed, self.sender.times)
        self.wrongly_passed += [
            self.addresses[message.to] for message in held.messages if self.addresses[message.to] in self.gone
        ]

    async def post(self, held: Held, outcome: str) -> None:
        """Hand over, with the provider in whatever mood."""
        self.mailer.outcome = outcome
        envelope = Envelope(
            sender="a@b.example",
            campaign_id=str(self.campaign_id),
            batch_id=str(held.claim.batch_id),
            tag="t",
        )
        held.outcomes = await hand_over(
            self.mailer, envelope, held.messages or [], deadline=held.claim.deadline, times=self.sender.times
        )
        self.mailer.outcome = "ok"

    async def record(self, held: Held) -> None:
        """T3, and whatever follows from it."""
        if held.outcomes:
            await self.sender.record(self.actor, held.claim, held.outcomes)
            await self.sender.apply_backpressure(self.actor, self.campaign_id, held.outcomes)
            if any(receipt_is_inactive(part) for part in held.outcomes):
                await self.learn_suppressed()

    async def learn_suppressed(self) -> None:
        """Whoever the provider calls inactive is gone from now on."""
        for contact_id, status in (await statuses(self.runtime, self.actor, self.campaign_id)).items():
            if status is DeliveryStatus.REJECTED:
                self.gone.add(contact_id)

    async def expire(self) -> None:
        """All leases, reservations and pauses end, on the workers' own clocks as well."""
        self.mailer.time += 1
        await expire_leases(self.runtime, self.actor, self.campaign_id)
        for held in self.held:
            held.claim = replace(held.claim, deadline=0.0)

    async def sweep(self) -> None:
        """A round of the sweeper."""
        work, tenant = self.runtime.work, self.actor
        await advance_campaign(work, tenant, self.campaign_id)
        await reconcile(work, self.mailer, tenant, self.campaign_id, grace_seconds=GRACE_SECONDS)

    async def look_up(self) -> None:
        """Somebody asks the provider about a batch, and takes time to write the answer down."""
        async with self.runtime.work.begin(self.actor) as uow:
            lookup = await reserve_due(uow, self.campaign_id)
        if lookup is not None:
            self.lookups.append((lookup, await self.mailer.find(str(lookup.batch_id))))

    async def dawdle(self) -> None:
        """The reservations of all lookups end, which takes so little time that no pause between lookups does."""
        async with self.runtime.work.begin(self.actor) as uow:
            await uow.execute(
                update(EmailDelivery)
                .where(
                    EmailDelivery.campaign_id == self.campaign_id,
                    EmailDelivery.next_lookup_at < now_plus(2 * RESERVED_SECONDS),
                )
                .values(next_lookup_at=EmailDelivery.created_at)
            )

    async def settle(self, lookup: Lookup, found: Mapping[str, str]) -> None:
        """The answer is written down, whatever has happened since."""
        async with self.runtime.work.begin(self.actor) as uow:
            await record_lookup(uow, self.campaign_id, lookup, found, grace_seconds=GRACE_SECONDS)

    async def order(self, to: CampaignStatus) -> None:
        """Pause, resume or cancel, where the state allows it."""
        with suppress(InvalidCampaignState):
            await go(self.runtime, self.actor, self.campaign_id, to)

    async def resolve(self, place: int, *, again: bool) -> None:
        """A person who has seen the provider's own records decides about a message in doubt, or tries to."""
        now = await statuses(self.runtime, self.actor, self.campaign_id)
        doubtful = [self.deliveries[one] for one in self.contacts if now[one] in IN_DOUBT]
        if not doubtful:
            return
        chosen = doubtful[place % len(doubtful)]
        if str(chosen) in {message.delivery_id for message in self.mailer.ledger}:
            decision = DeliveryResolution.SENT
        else:
            decision = DeliveryResolution.SEND_AGAIN if again else DeliveryResolution.NOT_SENT
        with suppress(DeliveryNotResolvable):
            async with self.runtime.work.begin(self.actor) as uow:
                await resolve(uow, chosen, decision, policy=self.runtime.sender_policy)

    async def leave(self, contact_id: UUID) -> None:
        """A recipient unsubscribes."""
        link = UnsubscribeLink(
            self.actor.organization_id,
            self.campaign_id,
            self.deliveries[contact_id],
            contact_id,
        )
        assert await unsubscribe(self.runtime.work, link)
        self.gone.add(contact_id)

    async def hear(self, message: Accepted, kind: str, times: int) -> None:
        """The provider tells of a message, perhaps again and again."""
        for _ in range(times):
            await deliver(self.runtime, told(message, kind))
        await apply_inbox(self.runtime)
        if kind in ("Bounce", "SpamComplaint"):
            self.gone.add(self.addresses[message.to])

    async def check(self) -> None:
        """What holds at every moment."""
        await progress(self.runtime, self.actor, self.campaign_id)
        assert not self.wrongly_passed, "somebody suppressed passed the point of no return"
        for name in ("delivery_id", "to"):
            counts = Counter(getattr(message, name) for message in self.mailer.ledger)
            assert not [one for one, count in counts.items() if count > 1], f"two messages for one {name}"
        now = await statuses(self.runtime, self.actor, self.campaign_id)
        accepted = {self.addresses[message.to] for message in self.mailer.ledger}
        for contact_id, status in now.items():
            if status in (DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED):
                assert contact_id in accepted, f"{status}, but the provider has never seen it"

    async def end(self) -> None:
        """Leave the workers for dead, let everything settle, and look."""
        self.mailer.lag = 0
        await self.expire()
        status = (await progress(self.runtime, self.actor, self.campaign_id)).status
        if status == CampaignStatus.PAUSED:
            await self.order(CampaignStatus.SENDING)
        now = await progress(self.runtime, self.actor, self.campaign_id)
        if not now.is_final:
            now = await finish(self.runtime, self.sender, self.actor, self.campaign_id)
        await self.check()
        ends = await statuses(self.runtime, self.actor, self.campaign_id)
        assert len(ends) == PEOPLE
        assert not [status for status in ends.values() if status in OPEN_DELIVERIES], now
        if now.status in (CampaignStatus.SENT, CampaignStatus.SENT_WITH_ISSUES):
            missing = set(ends) - {self.addresses[message.to] for message in self.mailer.ledger}
            excused = {one for one, status in ends.items() if status in EXCUSED}
            assert missing <= excused, "somebody was lost"
        stranger, other = self.bystander
        rows = await statuses(self.runtime, stranger, other)
        assert set(rows.values()) == {DeliveryStatus.PENDING}, "another tenant's rows were touched"


def receipt_is_inactive(part: RequestOutcome) -> bool:
    """Whether the provider called an address of the part inactive."""
    return any(receipt.status == "inactive" for receipt in getattr(part.outcome, "receipts", ()))


def told(message: Accepted, kind: str) -> dict[str, Any]:
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
