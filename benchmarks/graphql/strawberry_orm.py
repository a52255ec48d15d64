"""The same queries as most Strawberry applications implement them: ASGI app, ORM session, entities, no caches.

Run as a process: `python -m benchmarks.graphql.strawberry_orm`, with PORT and DATABASE_URL.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import strawberry
import uvicorn
from sqlalchemy import ScalarResult, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.types import Info

from core.ids import decode_global_id, encode_global_id
from models import campaigns as campaign_models
from models import contacts as contact_models
from models.campaigns import CampaignStatus
from models.contacts import ContactStatus

strawberry.enum(ContactStatus)
strawberry.enum(CampaignStatus)
engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
sessions = async_sessionmaker(engine, expire_on_commit=False)


@strawberry.type
class Contact:
    id: strawberry.ID
    email: str
    first_name: str | None
    last_name: str | None
    status: ContactStatus
    created_at: datetime
    subscribed_at: datetime | None


@strawberry.type
class ContactEdge:
    cursor: str
    node: Contact


@strawberry.type
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type
class ContactConnection:
    edges: list[ContactEdge]
    page_info: PageInfo


@strawberry.type
class CampaignStats:
    audience: int
    opened: int
    clicked: int


@strawberry.type
class Campaign:
    id: strawberry.ID
    name: str
    status: CampaignStatus
    model: strawberry.Private[campaign_models.Campaign]

    @strawberry.field
    async def stats(self, info: Info) -> CampaignStats:
        """The counts."""
        async with session(info) as orm_session:
            key = (self.model.organization_id, self.model.id)
            row = await orm_session.get_one(campaign_models.CampaignStats, key)
        return CampaignStats(audience=row.audience, opened=row.opened, clicked=row.clicked)


@asynccontextmanager
async def session(info: Info) -> AsyncIterator[AsyncSession]:
    """A session in a transaction of the organization in the header."""
    organization = info.context["request"].headers["x-organization"]
    async with sessions() as orm_session, orm_session.begin():
        await orm_session.execute(text("SELECT set_config('app.organization_id', :id, true)"), {"id": organization})
        yield orm_session


@strawberry.type
class Query:
    @strawberry.field
    async def contacts(self, info: Info, first: int = 25, after: str | None = None) -> ContactConnection:
        """A page of contacts, newest first."""
        model = contact_models.Contact
        statement = select(model).order_by(model.created_at.desc(), model.id.desc()).limit(first + 1)
        if after:
            last = select(model.created_at, model.id).where(model.id == UUID(b64decode(after).decode())).subquery()
            statement = statement.where(tuple_(model.created_at, model.id) < select(last).scalar_subquery())
        async with session(info) as orm_session:
            scalars: ScalarResult[contact_models.Contact] = await orm_session.scalars(statement)
            entities = scalars.all()
        edges = [
            ContactEdge(cursor=b64encode(str(e.id).encode()).decode(), node=to_contact(e)) for e in entities[:first]
        ]
        return ContactConnection(
            edges=edges,
            page_info=PageInfo(
                has_next_page=len(entities) > first,
                has_previous_page=bool(after),
                start_cursor=edges[0].cursor if edges else None,
                end_cursor=edges[-1].cursor if edges else None,
            ),
        )

    @strawberry.field
    async def campaign(self, info: Info, id: strawberry.ID) -> Campaign | None:  # noqa: A002 - the argument's name in our schema
        """One campaign."""
        decoded = decode_global_id(id)
        if decoded is None:
            return None
        async with session(info) as orm_session:
            entity = await orm_session.get(campaign_models.Campaign, decoded[1])
        if entity is None:
            return None
        return Campaign(id=id, name=entity.name, status=CampaignStatus(entity.status), model=entity)


def to_contact(entity: contact_models.Contact) -> Contact:
    """An entity as its GraphQL type."""
    return Contact(
        id=strawberry.ID(encode_global_id("Contact", entity.id)),
        email=entity.email,
        first_name=entity.first_name,
        last_name=entity.last_name,
        status=ContactStatus(entity.status),
        created_at=entity.created_at,
        subscribed_at=entity.subscribed_at,
    )


application: GraphQL[dict[str, Request | WebSocket | Response | None], None] = GraphQL(strawberry.Schema(Query))

if __name__ == "__main__":
    uvicorn.run(application, port=int(os.environ["PORT"]), log_level="warning", access_log=False)
