from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import Row, insert, select

from core.ids import id_at
from core.unit_of_work import UnitOfWork
from models.campaigns import Campaign, CampaignRecipient, CampaignStats, CampaignStatus, RecipientKind
from models.contact_events import ContactEvent, ContactEventKind
from models.contacts import Contact, ContactStatus, ContactTag
from models.deliveries import DeliveryStatus, EmailDelivery
from models.templates import Template

_AUDIENCE_TAG = "newsletter"
_SENT_DAYS_AGO = 9
OPEN_SHARE, CLICK_SHARE, BOUNCE_SHARE = 0.41, 0.22, 0.012
_SUBJECT = "{{ contact.firstName | default: 'Hello' }}, what we made this autumn"
_HTML = """<!doctype html>
<html lang="en"><body style="font-family: sans-serif; max-width: 36rem; margin: auto">
<h1>Hello {{ contact.firstName | default: "there" }},</h1>
<p>three things are new this season, and one of them came from a customer
in {{ contact.customFields.city | default: "your city" }}.</p>
{% if contact.customFields.plan == "pro" %}<p>As a Pro customer you have them already.</p>{% endif %}
<p><a href="https://nudge.example/autumn">See what is new</a></p>
<p style="color: #666">You get this as you subscribed. <a href="{{ unsubscribeUrl }}">Unsubscribe</a></p>
</body></html>
"""


async def seed_campaigns(uow: UnitOfWork, author_id: UUID, now: datetime, random: Random) -> None:
    """Insert a template, a campaign sent nine days ago with its results, and a draft."""
    await uow.execute(
        insert(Template).values(
            id=id_at(_milliseconds(now)),
            organization_id=uow.tenant.organization_id,
            name="Season's news",
            subject=_SUBJECT,
            html_content=_HTML,
        )
    )
    started = now - timedelta(days=_SENT_DAYS_AGO)
    finished = await _seed_campaign(uow, author_id, "Autumn news", started, CampaignStatus.SENT)
    await _seed_deliveries(uow, finished, started, random)
    await _seed_campaign(uow, author_id, "Winter preview", now - timedelta(days=1), CampaignStatus.DRAFT)


async def _seed_campaign(
    uow: UnitOfWork, author_id: UUID, name: str, created: datetime, status: CampaignStatus
) -> UUID:
    """Insert a campaign to all contacts with the newsletter tag; returns its id."""
    organization_id = uow.tenant.organization_id
    campaign_id = id_at(_milliseconds(created))
    sent = status == CampaignStatus.SENT
    await uow.execute(
        insert(Campaign).values(
            id=campaign_id,
            organization_id=organization_id,
            name=name,
            subject=_SUBJECT,
            html_content=_HTML,
            status=status,
            author_id=author_id,
            created_at=created,
            updated_at=created,
            started_at=created if sent else None,
            sent_at=created + timedelta(minutes=2) if sent else None,
        )
    )
    await uow.execute(insert(CampaignStats).values(organization_id=organization_id, campaign_id=campaign_id))
    await uow.execute(
        insert(CampaignRecipient).values(
            organization_id=organization_id, campaign_id=campaign_id, kind=RecipientKind.TAG, tag=_AUDIENCE_TAG
        )
    )
    return campaign_id


async def _seed_deliveries(uow: UnitOfWork, campaign_id: UUID, started: datetime, random: Random) -> None:
    """Insert the deliveries of the finished campaign: most are delivered, some opened, a few bounced."""
    recipients = await uow.rows(
        select(Contact.id, Contact.email)
        .join(
            ContactTag,
            (ContactTag.organization_id == Contact.organization_id) & (ContactTag.contact_id == Contact.id),
        )
        .where(
            ContactTag.tag == _AUDIENCE_TAG, Contact.status == ContactStatus.SUBSCRIBED, Contact.created_at < started
        )
        .order_by(Contact.id)
    )
    deliveries = [
        _delivery(campaign_id, row, started, random) | {"organization_id": uow.tenant.organization_id}
        for row in recipients
    ]
    await uow.execute(insert(EmailDelivery), deliveries)
    await uow.execute(insert(ContactEvent), list(_events(deliveries)))


def _delivery(campaign_id: UUID, recipient: Row[UUID, str], started: datetime, random: Random) -> dict[str, object]:
    """The row of one recipient in `email_deliveries`."""
    contact_id, email = recipient
    accepted = started + timedelta(seconds=random.uniform(1, 110))
    arrived = accepted + timedelta(seconds=random.uniform(1, 40))
    bounced = random.random() < BOUNCE_SHARE
    opened = not bounced and random.random() < OPEN_SHARE
    clicked = opened and random.random() < CLICK_SHARE
    read = arrived + timedelta(hours=random.expovariate(1 / 6))
    return {
        "campaign_id": campaign_id,
        "id": id_at(_milliseconds(started)),
        "contact_id": contact_id,
        "email": email,
        "email_norm": email,
        "status": DeliveryStatus.BOUNCED if bounced else DeliveryStatus.DELIVERED,
        "attempts": 1,
        "message_id": str(UUID(int=random.getrandbits(128), version=4)),
        "submitted_at": accepted,
        "accepted_at": accepted,
        "delivered_at": None if bounced else arrived,
        "bounced_at": arrived if bounced else None,
        "opened_at": read if opened else None,
        "clicked_at": read + timedelta(seconds=30) if clicked else None,
        "created_at": started,
    }


def _events(deliveries: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """The events in the contacts' histories, one for each timestamp of a delivery."""
    moments = {
        "delivered_at": ContactEventKind.DELIVERED,
        "bounced_at": ContactEventKind.BOUNCED,
        "opened_at": ContactEventKind.OPENED,
        "clicked_at": ContactEventKind.CLICKED,
    }
    return [
        {
            "organization_id": row["organization_id"],
            "occurred_at": row[column],
            "contact_id": row["contact_id"],
            "campaign_id": row["campaign_id"],
            "delivery_id": row["id"],
            "kind": kind,
            "dedupe_key": f"{kind}:{row['message_id']}",
        }
        for row in deliveries
        for column, kind in moments.items()
        if row[column] is not None
    ]


def _milliseconds(moment: datetime) -> int:
    """Unix time in milliseconds, as in a UUIDv7."""
    return int(moment.timestamp() * 1000)
