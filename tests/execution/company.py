"""An organization with rows of every kind, and the arguments that its API accepts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from sqlalchemy import insert, update

from core import clock
from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.ids import encode_global_id, new_id
from core.logstream import LogStream
from core.queue import Job
from core.security import fingerprint
from core.throttle import PREFIX as THROTTLES
from core.unit_of_work import UnitOfWork, Work
from integrations.mail import BatchHeader, BatchProcessed, Message, Outcome, SubmissionResult, SubmissionStatus
from integrations.recording import RecordingMailer
from models.accounts import RefreshToken, User, UserSession
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, CampaignStatus, RecipientKind
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.conversations import Conversation, MayaMessage, MessageRole, MessageStatus, ReplyFailure
from models.deliveries import DeliveryStatus, EmailDelivery
from models.lists import ContactList, ListMembership
from models.senders import Sender, SenderConfirmation
from models.suppressions import Suppression, SuppressionReason
from models.templates import Template
from resolvers.budgets import Budgets
from resolvers.context import RequestContext
from runtime import Runtime
from services.accounts.session_cache import _PREFIX as SESSIONS
from services.campaigns.lifecycle import change_status
from services.conversations.work import reply_log
from services.deliveries.preparing import prepare
from services.maya.events import Event, ReplyEnded, Token, ToolFinished, ToolStarted, encode
from tests import factories
from tests.execution.keeping import Database
from transport.endpoint import build_dependencies

DAY_SECONDS = 86_400
PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
TOKENS = {name: name.center(43, "-") for name in ("fresh", "other", "used")}
GREETING = "<p>Hello {{ contact.firstName | default: 'there' }}</p>"


@dataclass(slots=True)
class Outbox:
    """Records messages sent after COMMIT, in order."""

    sent: list[dict[str, object]] = field(default_factory=list)

    async def enqueue(self, job: Job) -> None:
        """Record a job."""
        self.sent.append({"job": job.name, **job.payload()})

    async def publish_all(self, events: Iterable[tuple[str, bytes]]) -> None:
        """Record events."""
        self.sent += [{"topic": topic, "payload": payload.decode()} for topic, payload in events]


def refusing(_: BatchHeader, messages: Sequence[Message]) -> Outcome:
    """Accepts all messages except to addresses that begin with `refused`."""
    return BatchProcessed(
        results=[
            SubmissionResult(SubmissionStatus.REFUSED, None, 300, "No.")
            if message.to.startswith("refused")
            else SubmissionResult(SubmissionStatus.ACCEPTED, f"m-{message.delivery_id}")
            for message in messages
        ]
    )


@dataclass(kw_only=True, repr=False)
class Company:
    """The organization, its callers, and everything that it sent."""

    runtime: Runtime
    live: Work
    outbox: Outbox
    mailer: RecordingMailer
    owner: Actor
    viewer: Actor
    other_owner: Actor
    database: Database
    before: str = ""
    ids: dict[str, dict[str, UUID]] = field(default_factory=dict)
    sessions: dict[str, UUID] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Short: a failing example shows it, and Hypothesis warns of a long one instead of the failure."""
        return "Company(...)"

    @property
    def callers(self) -> list[Actor | None]:
        """Possible callers: mostly the owner."""
        return [*[self.owner] * 7, self.viewer, self.other_owner, None]

    def context(self, actor: Actor | None) -> RequestContext:
        """A fresh context for an operation."""
        budgets = Budgets(limit=10_000_000, redis=self.runtime.cache)
        return RequestContext(
            dependencies=build_dependencies(self.runtime),
            actor=actor,
            session=factories.session(actor) if actor else None,
            request_id="request",
            budgets=budgets,
        )

    async def restore(self) -> None:
        """Restore the rows, and clear sent messages, failed log-ins and cached sessions."""
        await self.database.restore()
        self.outbox.sent.clear()
        self.mailer.sent.clear()
        for prefix in (THROTTLES, SESSIONS):
            for key in await self.runtime.cache.keys(f"{prefix}*"):
                await self.runtime.cache.delete(key)

    def global_ids_of(self, kind: str) -> list[str]:
        """The global ids of a kind."""
        return [encode_global_id(kind, one) for one in self.ids[kind].values()]


async def create_company(runtime: Runtime, database: Database) -> Company:
    """A new company in an empty database. Its jobs, events and mails are recorded, and sent nowhere."""
    outbox, mailer = Outbox(), RecordingMailer(refusing)
    recorded = replace(runtime, work=Work(runtime.engine, outbox, outbox), mailer=mailer)
    owner = await factories.organization(recorded)
    viewer = user_actor(owner.organization_id, new_id(), Role.VIEWER)
    await factories.member(recorded, viewer)
    company = Company(
        runtime=recorded,
        live=runtime.work,
        outbox=outbox,
        mailer=mailer,
        owner=owner,
        viewer=viewer,
        other_owner=await factories.organization(recorded),
        database=database,
    )
    async with recorded.work.begin(owner) as uow:
        await open_accounts(uow, company)
        await add_contacts(uow, company)
        await add_templates(uow, company)
        await add_senders(uow, company)
        await add_campaigns(uow, company)
        await add_conversations(uow, company)
    await send_campaigns(company)
    await write_logs(company)
    await database.save()
    company.before = "\n".join(row.text for row in await database.written())
    return company


async def open_accounts(uow: UnitOfWork, company: Company) -> None:
    """A password for the owner, and sessions with known refresh tokens."""
    owner = company.owner
    email = {"email": "owner@example.com", "email_norm": "owner@example.com", "password_hash": CHEAP.hash(PASSWORD)}
    await uow.execute(update(User).where(User.id == owner.user_id).values(**email))
    company.sessions = {name: new_id() for name in TOKENS}
    for name, token in TOKENS.items():
        session = {
            "id": company.sessions[name],
            "organization_id": owner.organization_id,
            "user_id": owner.user_id,
            "expires_at": datetime.fromtimestamp(factories.FAR_FUTURE, UTC),
        }
        await uow.execute(insert(UserSession).values(**session))
        await uow.execute(
            insert(RefreshToken).values(
                fingerprint=fingerprint(token),
                organization_id=owner.organization_id,
                session_id=session["id"],
                used_at=clock.now() if name == "used" else None,
            )
        )


CONTACTS: dict[str, tuple[str, ContactStatus, list[str]]] = {
    "ada": ("Lovelace", ContactStatus.SUBSCRIBED, ["new", "vip"]),
    "grace": ("Hopper", ContactStatus.SUBSCRIBED, ["new"]),
    "alan": ("Turing", ContactStatus.SUBSCRIBED, []),
    "barbara": ("Liskov", ContactStatus.PENDING, ["vip"]),
    "linus": ("Torvalds", ContactStatus.UNSUBSCRIBED, ["new"]),
    "edsger": ("Dijkstra", ContactStatus.BOUNCED, []),
}
LISTS = {"Customers": ["ada", "grace", "linus"], "Beta": ["grace", "edsger"], "Nobody": []}


async def add_contacts(uow: UnitOfWork, company: Company) -> None:
    """Contacts of every status, with tags, lists and a history."""
    own = {"organization_id": company.owner.organization_id}
    people = company.ids["Contact"] = {name: new_id() for name in CONTACTS}
    lists = company.ids["List"] = {name: new_id() for name in LISTS}
    for name, (last_name, status, tags) in CONTACTS.items():
        email = f"{name}@example.com"
        person = {"id": people[name], "first_name": name.title(), "last_name": last_name, "status": status}
        address = {"email": email.title(), "email_norm": email}
        await uow.execute(insert(Contact).values(**own, **person, **address, custom_fields={"plan": "pro"}))
        for tag in tags:
            await uow.execute(insert(ContactTag).values(**own, contact_id=people[name], tag=tag))
    for name, reason in {"linus": SuppressionReason.UNSUBSCRIBED, "edsger": SuppressionReason.HARD_BOUNCE}.items():
        await uow.execute(insert(Suppression).values(**own, email_norm=f"{name}@example.com", reason=reason))
    for name, members in LISTS.items():
        await uow.execute(insert(ContactList).values(**own, id=lists[name], name=name, description=name.upper()))
        for member in members:
            await uow.execute(insert(ListMembership).values(**own, list_id=lists[name], contact_id=people[member]))
    for kind in (ContactEventKind.SUBSCRIBED, ContactEventKind.OPENED):
        event = {"contact_id": people["ada"], "kind": kind, "dedupe_key": kind, "occurred_at": clock.now()}
        await uow.execute(insert(ContactEvent).values(**own, **event, data={"kind": kind}))


async def add_templates(uow: UnitOfWork, company: Company) -> None:
    """Two templates."""
    company.ids["Template"] = {name: new_id() for name in ("Plain", "Rich")}
    for name, template_id in company.ids["Template"].items():
        texts = {"subject": f"{name} news", "html_content": GREETING}
        await uow.execute(
            insert(Template).values(id=template_id, organization_id=company.owner.organization_id, name=name, **texts)
        )


async def add_senders(uow: UnitOfWork, company: Company) -> None:
    """A confirmed default sender, and two senders that were sent a token."""
    tokens = {"Asked": TOKENS["fresh"], "Other": TOKENS["other"]}
    company.ids["Sender"] = {name: new_id() for name in ("News", *tokens)}
    own = {"organization_id": company.owner.organization_id}
    for name, sender_id in company.ids["Sender"].items():
        address = f"{name.lower()}@example.com"
        standing = {"confirmed_at": clock.now(), "is_default": True} if name == "News" else {}
        await uow.execute(
            insert(Sender)
            .values(
                **own, id=sender_id, name=name, email=address, email_norm=address, requested_by=company.owner.user_id
            )
            .values(standing)
        )
    for name, secret in tokens.items():
        token = {"fingerprint": fingerprint(secret), "expires_at": clock.now() + timedelta(days=3)}
        await uow.execute(insert(SenderConfirmation).values(**own, sender_id=company.ids["Sender"][name], **token))


SCHEDULED, SENDING, PAUSED, SENT = "Autumn", "Winter", "Held", "Done"
EMPTY, ARCHIVED = "Empty", "Old"
CAMPAIGNS = ("Spring", "Summer", EMPTY, ARCHIVED, SCHEDULED, SENDING, PAUSED, SENT)


async def add_campaigns(uow: UnitOfWork, company: Company) -> None:
    """Drafts to all contacts, to some, and to none, without content."""
    own = {"organization_id": company.owner.organization_id}
    company.ids["Campaign"] = {name: new_id() for name in CAMPAIGNS}
    beta = company.ids["List"]["Beta"]
    audiences: dict[str, list[dict[str, Any]]] = {
        "Summer": [{"kind": RecipientKind.TAG, "tag": "vip"}, {"kind": RecipientKind.LIST, "list_id": beta}],
        EMPTY: [],
    }
    for name, campaign_id in company.ids["Campaign"].items():
        texts = ("", "") if name == EMPTY else ("News for {{ contact.firstName }}", GREETING)
        content = {"name": name, "subject": texts[0], "html_content": texts[1], "author_id": company.owner.user_id}
        archived = {"archived_at": clock.now() if name == ARCHIVED else None}
        await uow.execute(insert(Campaign).values(**own, id=campaign_id, **content, **archived))
        await uow.execute(insert(CampaignStats).values(**own, campaign_id=campaign_id))
        for line in audiences.get(name, [{"kind": RecipientKind.ALL}]):
            await uow.execute(insert(CampaignRecipient).values(**own, id=new_id(), campaign_id=campaign_id, **line))


async def send_campaigns(company: Company) -> None:
    """Campaigns that are scheduled, sending, paused and sent; in two of them a message is unknown, one failed."""
    work, tenant, campaigns = company.runtime.work, company.owner, company.ids["Campaign"]
    company.ids["Delivery"] = {}
    async with work.begin(tenant) as uow:
        await change_status(
            uow, campaigns[SCHEDULED], CampaignStatus.SCHEDULED, scheduled_at=clock.now() + timedelta(days=9)
        )
        for name in (SENDING, PAUSED, SENT):
            await change_status(uow, campaigns[name], CampaignStatus.PREPARING)
    for name in (SENDING, PAUSED, SENT):
        assert await prepare(work, tenant, campaigns[name])
    async with work.begin(tenant) as uow:
        await change_status(uow, campaigns[PAUSED], CampaignStatus.PAUSED, reason="Lunch.")
        for name in (SENDING, SENT):
            mine = (EmailDelivery.campaign_id == campaigns[name]) & (EmailDelivery.status == DeliveryStatus.PENDING)
            few = mine & (EmailDelivery.contact_id == company.ids["Contact"]["ada"])
            statement = update(EmailDelivery).where(mine if name == SENT else few)
            await uow.execute(statement.values(status=DeliveryStatus.DELIVERED))
            values = {"status": DeliveryStatus.UNKNOWN, "submitted_at": clock.now()}
            company.ids["Delivery"][name] = await make_unknown(uow, company, name, "grace", values)
            await make_unknown(uow, company, name, "alan", {"status": DeliveryStatus.FAILED})
        await change_status(uow, campaigns[SENT], CampaignStatus.SENT)


async def make_unknown(
    uow: UnitOfWork, company: Company, campaign: str, contact: str, values: dict[str, object]
) -> UUID:
    """Make a campaign's message to a contact unknown, so that a user must resolve it; returns its id."""
    theirs = (EmailDelivery.campaign_id == company.ids["Campaign"][campaign]) & (
        EmailDelivery.contact_id == company.ids["Contact"][contact]
    )
    ((delivery_id,),) = await uow.rows(update(EmailDelivery).where(theirs).values(values).returning(EmailDelivery.id))
    return delivery_id


REPLIES: dict[str, tuple[MessageStatus, list[Event]]] = {
    "complete": (
        MessageStatus.COMPLETED,
        [Token("Let me see. "), ToolStarted("campaign_stats"), ToolFinished("campaign_stats", True), Token("Well.")],
    ),
    "failed": (MessageStatus.FAILED, [Token("Let "), ToolStarted("unknown"), ToolFinished("unknown", False)]),
    "cancelled": (MessageStatus.CANCELLED, [Token("Let me")]),
    "forgotten": (MessageStatus.COMPLETED, []),
    "streaming": (MessageStatus.STREAMING, [Token("One, "), Token("two, ")]),
    "speaking": (MessageStatus.STREAMING, [Token("Once ")]),
    "waiting": (MessageStatus.PENDING, []),
    "asked": (MessageStatus.PENDING, []),
}
OPEN = {"streaming": "open", "speaking": "busy", "waiting": "new", "asked": "newer"}
"""Replies that are not ended, each with its conversation, as there is one in each at most."""


async def add_conversations(uow: UnitOfWork, company: Company) -> None:
    """An empty conversation, one with replies that ended in every way, and some with pending or running replies."""
    own = {"organization_id": company.owner.organization_id, "user_id": company.owner.user_id}
    conversations = company.ids["Conversation"] = {name: new_id() for name in ("silent", "ended", *OPEN.values())}
    replies = company.ids["MayaMessage"] = {}
    for name, conversation_id in conversations.items():
        await uow.execute(insert(Conversation).values(**own, id=conversation_id, title=name.title()))
    for name, (status, events) in REPLIES.items():
        conversation_id = conversations[OPEN.get(name, "ended")]
        question = {"role": MessageRole.USER, "status": MessageStatus.COMPLETED, "content": f"And {name}?"}
        failure_columns = (
            {"error_code": ReplyFailure.TIMEOUT, "error_message": "Too long."} if name == "failed" else {}
        )
        answer = {
            "role": MessageRole.ASSISTANT,
            "status": status,
            "content": "".join(event.text for event in events if isinstance(event, Token)),
            "model": "model",
            "last_sequence": len(events) + (name not in OPEN),
            "completed_at": None if name in OPEN else clock.now(),
        }
        replies[f"asked {name}"], replies[name] = new_id(), new_id()
        shared = {**own, "conversation_id": conversation_id}
        await uow.execute(insert(MayaMessage).values(**shared, id=replies[f"asked {name}"], **question))
        await uow.execute(insert(MayaMessage).values(**shared, id=replies[name], **answer, **failure_columns))


async def write_logs(company: Company) -> None:
    """The event logs of the replies, which expire after any test; one has expired."""
    logs = LogStream(company.runtime.cache, expiry=DAY_SECONDS)
    for name, (_, events) in REPLIES.items():
        if events:
            writer = await logs.claim(reply_log(company.owner.organization_id, company.ids["MayaMessage"][name]))
            await writer.append_all([encode(event) for event in [*events, *([] if name in OPEN else [ReplyEnded()])]])
