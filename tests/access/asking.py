"""Executing operations as an actor with any rights, without a log-in, which only gives the rights of roles."""

from dataclasses import replace
from typing import Any

from sqlalchemy import insert, update

from core.access.actor import Actor
from core.access.permissions import Permission
from core.access.rights import Rights
from core.ids import encode_global_id, new_id
from models.campaigns import Campaign, CampaignRecipient, RecipientKind
from models.contact_events import ContactEvent, ContactEventKind
from resolvers.context import RequestContext
from runtime import Runtime
from services import lists, templates
from tests import factories
from tests.client import ApiClient
from tests.serving import Served
from transport.endpoint import build_dependencies
from transport.requests import GraphQLRequest

EVERYTHING = frozenset(Permission)


def with_permissions(person: Actor, permissions: frozenset[Permission]) -> Actor:
    """The actor with these permissions and no role, like an API key with scopes."""
    return replace(person, rights=Rights(permissions=permissions))


async def answer(
    server: Served, runtime: Runtime, actor: Actor, query: str, variables: dict[str, Any]
) -> dict[str, Any]:
    """The body of the endpoint's response to the actor."""
    endpoint = server.application.endpoint
    assert endpoint is not None
    context = context_of(server, runtime, actor)
    return (await endpoint.executor.run(GraphQLRequest(query=query, variables=variables), context)).body


def context_of(server: Served, runtime: Runtime, actor: Actor) -> RequestContext:
    """The context of an operation of the actor."""
    endpoint = server.application.endpoint
    assert endpoint is not None
    return RequestContext(
        dependencies=build_dependencies(runtime), actor=actor, request_id="asked", budgets=endpoint.executor.budgets
    )


async def objects(runtime: Runtime, api: ApiClient, owner: Actor) -> dict[str, str]:
    """The global id of one object of each node type, each with all its relations."""
    sender = await factories.sender(runtime, owner)
    (contact,) = await factories.contacts(runtime, owner, 1)
    campaign = await factories.campaign(runtime, owner)
    event = new_id()
    async with runtime.work.begin(owner) as uow:
        news = await lists.create(uow, "News")
        template = await templates.create(uow, {"name": "News"})
        await lists.add_members(uow, [news.id], [contact])
        for excluded in (False, True):
            await uow.execute(
                insert(CampaignRecipient).values(
                    id=new_id(),
                    organization_id=owner.organization_id,
                    campaign_id=campaign,
                    kind=RecipientKind.LIST,
                    excluded=excluded,
                    list_id=news.id,
                )
            )
        await uow.execute(update(Campaign).values(sender_id=sender))
        await uow.execute(
            insert(ContactEvent).values(
                organization_id=owner.organization_id,
                occurred_at=factories.NOW,
                id=event,
                contact_id=contact,
                campaign_id=campaign,
                kind=ContactEventKind.OPENED,
                dedupe_key=event.hex,
            )
        )
    started = await api.as_(factories.token(runtime, owner)).execute(
        """mutation { startConversation(input: {}) { conversation { id } } }"""
    )
    conversation = started["startConversation"]["conversation"]["id"]
    sent = await api.as_(factories.token(runtime, owner)).execute(
        'mutation ($id: ID!) { sendMayaMessage(input: {conversationId: $id, text: "Hi"}) { reply { id } } }',
        {"id": conversation},
    )
    ids = {
        "Campaign": campaign,
        "Contact": contact,
        "ContactEvent": event,
        "Delivery": await factories.delivery(runtime, owner, campaign, contact),
        "List": news.id,
        "Organization": owner.organization_id,
        "Sender": sender,
        "Template": template.id,
        "User": owner.require_user_id(),
    }
    return {
        **{name: encode_global_id(name, key) for name, key in ids.items()},
        "Conversation": conversation,
        "MayaMessage": sent["sendMayaMessage"]["reply"]["id"],
    }
