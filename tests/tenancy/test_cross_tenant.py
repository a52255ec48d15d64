"""Another tenant's id is answered as an unknown one, at every place of the schema that takes an id."""

import re
from typing import Any

import asyncpg
import orjson
import pytest

import resolvers
from core.access.actor import Actor
from core.ids import decode_global_id, encode_global_id, new_id
from runtime import Runtime
from tests import factories
from tests.client import ApiClient
from tests.conftest import Servers
from tests.graphql.sockets import connected
from tests.serving import Served
from tests.tenancy.asking import Operation, Place, kind_of, places

schema = resolvers.build_schema()._schema
PLACES = list(places(schema))
PRODUCT = re.compile(r"text-\d+|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)")
ENCODED = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
KINDS = {
    "Campaign",
    "Contact",
    "Conversation",
    "Delivery",
    "List",
    "Message",
    "Organization",
    "Sender",
    "Template",
    "User",
}
WAIT_SECONDS = 60.0


async def examples(runtime: Runtime, api: ApiClient, actor: Actor) -> dict[str, str]:
    """One id of each type of object of the actor.

    The reply is cancelled, as no worker runs here: its stream ends at once, where that of a pending one would wait.
    """
    caller = api.as_(factories.token(runtime, actor))
    (contact,) = await factories.contacts(runtime, actor, 1)
    campaign = await factories.campaign(runtime, actor)
    delivery = await factories.delivery(runtime, actor, await factories.campaign(runtime, actor), contact)
    payloads = await caller.execute(
        """mutation {
            list: createList(input: {name: "Friends"}) { node: list { id } }
            template: createTemplate(input: {name: "Plain", subject: "Hi", htmlContent: "<p>Hi</p>"}) {
                node: template { id } }
            conversation: startConversation(input: {}) { node: conversation { id } }
        }"""
    )
    ids = {name.capitalize(): payload["node"]["id"] for name, payload in payloads.items()}
    await caller.execute(
        """mutation ($list: ID!, $contact: ID!) {
            addToList(input: {listId: $list, contactIds: [$contact]}) { __typename } }""",
        {"list": ids["List"], "contact": encode_global_id("Contact", contact)},
    )
    reply = await caller.execute(
        'mutation ($id: ID!) { sendMayaMessage(input: {conversationId: $id, text: "Hi"}) { reply { id } } }',
        {"id": ids["Conversation"]},
    )
    message = reply["sendMayaMessage"]["reply"]["id"]
    await caller.execute(
        "mutation ($id: ID!) { cancelMayaReply(input: {messageId: $id}) { reply { status } } }", {"id": message}
    )
    viewer = (await caller.execute("{ viewer { id organization { id } } }"))["viewer"]
    ids_by_type = {
        **ids,
        "Message": message,
        "Contact": encode_global_id("Contact", contact),
        "Campaign": encode_global_id("Campaign", campaign),
        "Delivery": encode_global_id("Delivery", delivery),
        "Sender": encode_global_id("Sender", await factories.sender(runtime, actor)),
        "User": viewer["id"],
        "Organization": viewer["organization"]["id"],
    }
    assert set(ids_by_type) == KINDS
    return ids_by_type


def unknown(identifier: str) -> str:
    """An id of the same type that does not exist."""
    decoded = decode_global_id(identifier)
    assert decoded is not None
    return encode_global_id(decoded[0], new_id())


def comparable(answer: dict[str, Any]) -> str:
    """An answer without values that differ between any two requests: ids, times, generated names."""
    parts = {name: answer[name] for name in ("data", "errors", "payload", "type") if name in answer}
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()
    text = re.sub(r'"requestId":"\w+"', '"requestId":""', PRODUCT.sub("<generated>", text))
    return ENCODED.sub(lambda match: f"<{(decode_global_id(match[0]) or ('?',))[0]}>", text)


async def execute(server: Served, token: str, asker: Operation, identifier: str) -> str:
    """The answer to the operation of a place with an id; fails after an internal error."""
    document, variables = asker.document(), asker.arguments(identifier)
    if asker.place.root != "Subscription":
        reply = await ApiClient(server.url, token).send(document, variables)
        assert "INTERNAL" not in reply.codes, reply.body
        return comparable(reply.body)
    async with connected(server) as socket:
        await socket.ready(token)
        await socket.subscribe(document, variables=variables)
        message = await socket.next(WAIT_SECONDS)
        payload = message.get("payload")
        data = payload.get("data") if isinstance(payload, dict) else payload
        return comparable({"type": message["type"], "payload": data})


async def rows_of(servers: Servers, runtime: Runtime, actor: Actor) -> dict[str, str]:
    """A digest of all rows of an organization, read without policies."""
    assert runtime.settings.database.url is not None
    database = runtime.settings.database.url.get_secret_value().rpartition("/")[2]
    admin = await asyncpg.connect(servers.database_url(servers.postgres.admin_url, database))
    try:
        tables = await admin.fetch(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'organization_id' "
            "AND table_schema = 'public'"
        )
        return {
            name: await admin.fetchval(
                f"SELECT count(*) || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) "  # noqa: S608
                f"FROM {name} t WHERE organization_id = $1",
                actor.organization_id,
            )
            for (name,) in tables
        }
    finally:
        await admin.close()


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_another_tenant_s_id_is_answered_as_an_unknown_one(
    place: Place, api: ApiClient, api_server: Served, runtime: Runtime, servers: Servers
) -> None:
    """Tenant B uses A's id and a random one: the answer is the same, and A's rows do not change.

    For A, the same operation answers A's id and a random one differently, so the comparison can fail.
    """
    owner, other = await factories.organization(runtime), await factories.organization(runtime)
    of_owner, own = await examples(runtime, api, owner), await examples(runtime, api, other)
    before = await rows_of(servers, runtime, owner)
    kinds = kind_of(place, set(of_owner), name=place.path[-1])
    for kind in kinds:
        asker = Operation(schema, place, own)
        token = factories.token(runtime, other)
        answers = [
            await execute(api_server, token, asker, value) for value in (of_owner[kind], unknown(of_owner[kind]))
        ]
        assert answers[0] == answers[1]
    assert await rows_of(servers, runtime, owner) == before
    asker, token = Operation(schema, place, of_owner), factories.token(runtime, owner)
    for kind in kinds:
        answers = [
            await execute(api_server, token, asker, value) for value in (unknown(of_owner[kind]), of_owner[kind])
        ]
        assert answers[0] != answers[1]


def test_every_place_has_an_example() -> None:
    """A new argument that takes an id must show which object it refers to; every place of the schema is tested."""
    assert len(PLACES) > 30
    for place in PLACES:
        assert kind_of(place, KINDS, name=place.path[-1])
