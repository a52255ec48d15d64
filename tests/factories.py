"""Rows for tests, inserted as the tenant that they belong to."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID, uuid5

from sqlalchemy import insert

from core.access.actor import Actor, system_actor, user_actor
from core.access.permissions import Role
from core.access.session import Session
from core.ids import new_id
from models.accounts import Organization, User, UserSession
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, RecipientKind
from models.contacts import Contact, ContactTag
from models.deliveries import DeliveryStatus, EmailDelivery
from models.senders import Sender
from runtime import Runtime

numbers = count(1)
FAR_FUTURE = 4_102_444_800  # 2100-01-01, in Unix seconds
UNUSABLE_PASSWORD = "!"
NOW = datetime.now(UTC)
FROM = "Shop <news@nudge.example>"


async def organization(runtime: Runtime, *, role: Role = Role.OWNER) -> Actor:
    """Create an organization, and a member of it with a session."""
    actor = user_actor(new_id(), new_id(), role)
    number = next(numbers)
    async with runtime.work.begin(system_actor(actor.organization_id)) as uow:
        await uow.execute(
            insert(Organization).values(id=actor.organization_id, name=f"Org {number}", slug=f"org-{new_id().hex}")
        )
    await member(runtime, actor)
    return actor


async def member(runtime: Runtime, actor: Actor) -> None:
    """Insert a user and a session into an existing organization."""
    email = f"user-{new_id().hex}@nudge.example"
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(User).values(
                id=actor.user_id,
                organization_id=actor.organization_id,
                email=email,
                email_norm=email,
                password_hash=UNUSABLE_PASSWORD,
                full_name="Test User",
                role=actor.rights.role,
            )
        )
        await uow.execute(
            insert(UserSession).values(
                id=session_id_of(actor),
                organization_id=actor.organization_id,
                user_id=actor.user_id,
                expires_at=datetime.fromtimestamp(FAR_FUTURE, UTC),
            )
        )


def session_id_of(actor: Actor) -> UUID:
    """The id of the session that `member` creates. It differs from the user's id, so that tests detect a mix-up."""
    return uuid5(actor.require_user_id(), "session")


def session(actor: Actor) -> Session:
    """The session that `member` creates."""
    return Session(actor=actor, id=session_id_of(actor), expires_at=FAR_FUTURE)


def token(runtime: Runtime, actor: Actor, *, session_id: UUID | None = None) -> str:
    """An access token of the user, in the session that `member` creates or in another."""
    return runtime.tokens.issue(
        user_id=actor.require_user_id(),
        organization_id=actor.organization_id,
        session_id=session_id or session_id_of(actor),
    )


async def contacts(runtime: Runtime, actor: Actor, how_many: int, *, tag: str | None = None) -> list[UUID]:
    """Create subscribed contacts; returns their ids in order of creation."""
    rows = []
    for _ in range(how_many):
        email = f"contact-{next(numbers)}@example.com"
        rows.append(
            {
                "id": new_id(),
                "organization_id": actor.organization_id,
                "email": email,
                "email_norm": email,
                "first_name": "Ada",
            }
        )
    async with runtime.work.begin(actor) as uow:
        await uow.execute(insert(Contact), rows)
        if tag is not None:
            tags = [{"organization_id": actor.organization_id, "contact_id": row["id"], "tag": tag} for row in rows]
            await uow.execute(insert(ContactTag), tags)
    return [row["id"] for row in rows]  # type: ignore[misc]


async def sender(runtime: Runtime, actor: Actor, *, confirmed: bool = True, default: bool = False) -> UUID:
    """Create a sender; returns its id."""
    sender_id = new_id()
    email = f"sender-{next(numbers)}@nudge.example"
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Sender).values(
                id=sender_id,
                organization_id=actor.organization_id,
                email=email,
                email_norm=email,
                name="Acme, Inc.",
                confirmed_at=datetime.now(UTC) if confirmed else None,
                is_default=default,
                requested_by=actor.user_id,
            )
        )
    return sender_id


async def campaign(runtime: Runtime, actor: Actor, *, tag: str | None = None) -> UUID:
    """Create a draft campaign to all contacts, or to those with a tag; returns its id."""
    campaign_id = new_id()
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(Campaign).values(
                id=campaign_id,
                organization_id=actor.organization_id,
                name="Spring",
                subject="Hello {{ contact.firstName | default: 'there' }}",
                html_content="<p>Hello {{ contact.firstName | default: 'there' }}</p>",
                author_id=actor.user_id,
            )
        )
        await uow.execute(
            insert(CampaignStats).values(organization_id=actor.organization_id, campaign_id=campaign_id)
        )
        await uow.execute(
            insert(CampaignRecipient).values(
                id=new_id(),
                organization_id=actor.organization_id,
                campaign_id=campaign_id,
                kind=RecipientKind.ALL if tag is None else RecipientKind.TAG,
                tag=tag,
            )
        )
    return campaign_id


async def delivery(
    runtime: Runtime,
    actor: Actor,
    campaign_id: UUID,
    contact_id: UUID,
    status: DeliveryStatus = DeliveryStatus.FAILED,
) -> UUID:
    """Insert a delivery, as if the campaign had been sent to the contact; returns its id."""
    delivery_id = new_id()
    async with runtime.work.begin(actor) as uow:
        await uow.execute(
            insert(EmailDelivery).values(
                organization_id=actor.organization_id,
                campaign_id=campaign_id,
                id=delivery_id,
                contact_id=contact_id,
                email=f"{contact_id.hex}@example.com",
                email_norm=f"{contact_id.hex}@example.com",
                status=status,
            )
        )
    return delivery_id
