"""Conversations over HTTP, and replies over a real websocket, as clients use them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from core.access.actor import Actor, user_actor
from core.access.permissions import Role
from core.ids import decode_global_id, encode_global_id, new_id
from integrations.scripted import calls, says
from runtime import Runtime
from services.conversations import reading
from tests import factories
from tests.client import ApiClient
from tests.maya.acting import speaking
from tests.maya.conftest import Stage
from tests.serving import Served, served

START = """
mutation($input: StartConversationInput!) {
  startConversation(input: $input) { conversation { id title } userErrors { code field message } }
}"""
SEND = """
mutation($input: SendMayaMessageInput!) {
  sendMayaMessage(input: $input) {
    message { id role status content } reply { id role status content completedAt } conversation { id title }
    userErrors { code field message suggestion }
  }
}"""
CANCEL = """
mutation($id: ID!) {
  cancelMayaReply(input: {messageId: $id}) { reply { id status content } userErrors { code field } }
}"""
NODES = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } conversations { totalCount nodes { id } } }"
CONVERSATION = """
query($id: ID!, $first: Int, $after: String) {
  conversation(id: $id) {
    id title
    messages(first: $first, after: $after) {
      totalCount nodes { id role status content failure { code } model } pageInfo { hasNextPage endCursor }
    }
  }
}"""
REPLY = """
subscription($id: ID!, $after: Int! = 0) {
  mayaReply(messageId: $id, after: $after) {
    __typename
    ... on MayaToken { sequence text }
    ... on MayaToolStarted { sequence name }
    ... on MayaToolFinished { sequence name succeeded }
    ... on MayaReplyCompleted { sequence message { id status content } }
    ... on MayaReplyFailed { sequence code reason reply { content } }
  }
}"""


class Person:
    """A person with a client, and a conversation."""

    def __init__(self, stage: Stage, api: ApiClient) -> None:
        self.stage = stage
        self.api = api.as_(factories.token(stage.runtime, stage.actor))
        self.conversation = encode_global_id("Conversation", stage.conversation_id)

    async def send(self, text: str, **changes: object) -> dict[str, Any]:
        """The payload of something said."""
        given = {"conversationId": self.conversation, "text": text, **changes}
        payload: dict[str, Any] = (await self.api.execute(SEND, {"input": given}))["sendMayaMessage"]
        return payload

    async def run(self, reply_id: str) -> None:
        """Make a reply, as a worker does."""
        found = decode_global_id(reply_id)
        assert found is not None
        row = await reading.get_reply(self.stage.runtime.reads(self.stage.actor.tenant), found[1])
        assert row is not None
        await self.stage.run(row)


@pytest.fixture
async def person(stage: Stage, api: ApiClient) -> Person:
    return Person(stage, api)


def as_colleague(person: Person, colleague: Actor) -> ApiClient:
    return person.api.as_(factories.token(person.stage.runtime, colleague))


@asynccontextmanager
async def socket(server: Served, person: Person) -> AsyncIterator[AsyncClientSession]:
    """A websocket of the person's, through the `gql` client."""
    transport = WebsocketsTransport(
        url=server.websocket_url,
        init_payload={"authorization": f"Bearer {person.api.token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as opened:
        assert isinstance(opened, AsyncClientSession)
        yield opened


async def watch(opened: AsyncClientSession, reply_id: str, after: int = 0) -> list[dict[str, Any]]:
    """All events of a reply."""
    request = GraphQLRequest(REPLY, variable_values={"id": reply_id, "after": after})
    async with asyncio.timeout(60):
        return [result["mayaReply"] async for result in opened.subscribe(request)]


async def test_a_conversation(person: Person) -> None:
    """Begun with an empty input, named by its first message, read back page by page in the order spoken."""
    started = (await person.api.execute(START, {"input": {}}))["startConversation"]
    assert started["userErrors"] == []
    assert started["conversation"]["title"] is None
    person.conversation = started["conversation"]["id"]
    sent = await person.send("  How did *Spring* do?\nThanks  ")
    assert sent["userErrors"] == []
    assert sent["message"]["content"] == "How did *Spring* do?\nThanks"
    assert (sent["reply"]["role"], sent["reply"]["status"], sent["reply"]["content"]) == ("ASSISTANT", "PENDING", "")
    assert sent["conversation"]["title"] == "How did *Spring* do?"
    person.stage = person.stage.scripted(says("Fine."))
    await person.run(sent["reply"]["id"])
    page = (await person.api.execute(CONVERSATION, {"id": person.conversation, "first": 1}))["conversation"][
        "messages"
    ]
    assert page["totalCount"] == 2
    assert [(each["role"], each["content"]) for each in page["nodes"]] == [("USER", "How did *Spring* do?\nThanks")]
    after = page["pageInfo"]["endCursor"]
    rest = await person.api.execute(CONVERSATION, {"id": person.conversation, "after": after})
    [reply] = rest["conversation"]["messages"]["nodes"]
    assert (reply["id"], reply["content"], reply["status"]) == (sent["reply"]["id"], "Fine.", "COMPLETED")
    nodes = await person.api.execute(NODES, {"ids": [person.conversation, reply["id"]]})
    assert [each["__typename"] for each in nodes["nodes"]] == ["Conversation", "MayaMessage"]
    assert nodes["conversations"]["totalCount"] == 2
    assert nodes["conversations"]["nodes"][0] == {"id": person.conversation}


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "REQUIRED"), (" \n\u200b ", "REQUIRED"), ("x" * 8_001, "TOO_LONG"), ("a\x00b", "INVALID")],
)
async def test_what_cannot_be_said(person: Person, text: str, code: str) -> None:
    """Nothing, too much, and control characters are refused at the field, and nothing is stored."""
    [error] = (await person.send(text))["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", "text"])
    found = (await person.api.execute(CONVERSATION, {"id": person.conversation}))["conversation"]
    assert found["messages"]["totalCount"] == 0


async def test_the_longest_title_and_text(person: Person) -> None:
    """Titles up to 200 and texts up to 8,000 characters are taken, as the schema says."""
    started = (await person.api.execute(START, {"input": {"title": "x" * 200}}))["startConversation"]
    assert started["conversation"]["title"] == "x" * 200
    assert (await person.send("x" * 8_000))["message"]["content"] == "x" * 8_000


async def test_a_title_that_does_not_fit(person: Person) -> None:
    """A title that is too long is a userError."""
    refused = (await person.api.execute(START, {"input": {"title": "x" * 201}}))["startConversation"]
    assert refused["conversation"] is None
    assert refused["userErrors"][0]["code"] == "TOO_LONG"


async def test_conversations_stand_in_the_order_of_what_was_said_last(person: Person) -> None:
    """A question, and its answer's end, bring a conversation to the front; the others stay as they were."""
    listed = "{ conversations { nodes { id title updatedAt } } }"

    async def order() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await person.api.execute(listed))["conversations"]["nodes"]
        return found

    first = person.conversation
    second = (await person.api.execute(START, {"input": {"title": "Second"}}))["startConversation"]["conversation"][
        "id"
    ]
    assert [each["id"] for each in await order()] == [second, first]
    reply = (await person.send("How many?"))["reply"]
    asked = await order()
    assert [(each["id"], each["title"]) for each in asked] == [(first, "How many?"), (second, "Second")]
    await person.send("And in the second?", conversationId=second)
    assert [each["id"] for each in await order()] == [second, first]
    before = await order()
    person.stage = person.stage.scripted(says("Ten."))
    await person.run(reply["id"])
    after = await order()
    assert [each["id"] for each in after] == [first, second]
    assert after[0]["updatedAt"] > before[0]["updatedAt"]
    assert after[1] == before[0]


async def test_a_reply_in_one_conversation_does_not_wait_for_another(person: Person) -> None:
    """Only the conversation's own open reply is in the way of a question, and stopping it stops no other."""
    other = (await person.api.execute(START, {"input": {}}))["startConversation"]["conversation"]["id"]
    here, there = await person.send("Here"), await person.send("There", conversationId=other)
    assert here["userErrors"] == there["userErrors"] == []
    stopped = (await person.api.execute(CANCEL, {"id": here["reply"]["id"]}))["cancelMayaReply"]["reply"]
    assert stopped["status"] == "CANCELLED"
    [_, waiting] = (await person.api.execute(CONVERSATION, {"id": other}))["conversation"]["messages"]["nodes"]
    assert (waiting["id"], waiting["status"]) == (there["reply"]["id"], "PENDING")


async def test_one_reply_at_a_time(person: Person) -> None:
    """Of questions sent together one is taken, and the others are refused with a way out."""
    payloads = await asyncio.gather(*(person.send(f"Question {n}") for n in range(4)))
    taken = [payload for payload in payloads if payload["reply"]]
    refused = [payload["userErrors"][0] for payload in payloads if not payload["reply"]]
    assert len(taken) == 1
    assert [error["code"] for error in refused] == ["CONFLICT"] * 3
    assert "cancelMayaReply" in refused[0]["suggestion"]
    cancelled = (await person.api.execute(CANCEL, {"id": taken[0]["reply"]["id"]}))["cancelMayaReply"]
    assert cancelled["reply"]["status"] == "CANCELLED"
    assert (await person.send("Next"))["userErrors"] == []


async def test_conversations_are_their_authors_alone(person: Person, api_server: Served) -> None:
    """To a colleague, and to another organization, conversation and messages answer as if they were not."""
    runtime = person.stage.runtime
    sent = await person.send("A secret")
    colleague = user_actor(person.stage.actor.organization_id, new_id(), Role.ADMIN)
    await factories.member(runtime, colleague)
    for other in (colleague, await factories.organization(runtime)):
        api = as_colleague(person, other)
        assert (await api.execute(CONVERSATION, {"id": person.conversation}))["conversation"] is None
        ids = [person.conversation, sent["reply"]["id"], sent["message"]["id"]]
        seen = await api.execute(
            "query($ids: [ID!]!) { nodes(ids: $ids) { id } conversations { totalCount } }", {"ids": ids}
        )
        assert seen == {"nodes": [None] * 3, "conversations": {"totalCount": 0}}
        said = await api.execute(SEND, {"input": {"conversationId": person.conversation, "text": "Hi"}})
        assert said["sendMayaMessage"]["userErrors"][0]["code"] == "NOT_FOUND"
        stopped = await api.execute(CANCEL, {"id": sent["reply"]["id"]})
        assert stopped["cancelMayaReply"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "messageId"]}]
        stranger = Person(replace(person.stage, actor=other), person.api)
        async with socket(api_server, stranger) as opened:
            with pytest.raises(TransportQueryError, match="no such reply"):
                await watch(opened, sent["reply"]["id"])
    assert (await person.api.execute(CONVERSATION, {"id": person.conversation}))["conversation"] is not None


async def test_a_reply_over_the_socket(person: Person, api_server: Served) -> None:
    """Two viewers see every event once and in order; a third comes back for the rest; all streams complete."""
    person.stage = person.stage.scripted(speaking(*(f"word{n} " for n in range(20)), then=0.0, every=0.02))
    sent = await person.send("Count to twenty")
    reply_id = sent["reply"]["id"]
    async with socket(api_server, person) as first, socket(api_server, person) as second:
        watching = [asyncio.create_task(watch(opened, reply_id)) for opened in (first, second)]
        await asyncio.sleep(0.1)
        await person.run(reply_id)
        one, two = await asyncio.gather(*watching)
        assert one == two
        tokens = [event for event in one if event["__typename"] == "MayaToken"]
        assert [event["sequence"] for event in one] == list(range(1, len(one) + 1))
        last = one[-1]
        assert last["__typename"] == "MayaReplyCompleted"
        assert last["message"]["content"] == "".join(event["text"] for event in tokens)
        assert last["message"]["id"] == reply_id
        assert await watch(first, reply_id, after=5) == one[5:]


async def test_a_failed_reply_over_the_socket(person: Person, api_server: Served) -> None:
    """A failure is the last event, with its code."""
    person.stage = person.stage.scripted(speaking("So far ", then=RuntimeError("secret")))
    sent = await person.send("Fail, please")
    reply_id = sent["reply"]["id"]
    await person.run(reply_id)
    async with socket(api_server, person) as opened:
        token, failed = await watch(opened, reply_id)
    assert token["text"] == "So far "
    assert (failed["__typename"], failed["code"]) == ("MayaReplyFailed", "INTERNAL")
    assert failed["reply"]["content"] == "So far "
    assert "secret" not in failed["reason"]
    shown = await person.api.execute(
        "query($id: ID!) { node(id: $id) { ... on MayaMessage { failure { code message } } } }", {"id": reply_id}
    )
    assert shown["node"]["failure"] == {"code": failed["code"], "message": failed["reason"]}
    assert failed["reason"]


async def test_tools_over_the_socket(person: Person, api_server: Served) -> None:
    """A look-up begins and ends under its tool's name; what is no tool of ours is `unknown`, and does not succeed."""
    person.stage = person.stage.scripted(
        calls("list_campaigns", '{"limit": 1}'), calls("delete_everything"), says("None.")
    )
    reply_id = (await person.send("What is there?"))["reply"]["id"]
    await person.run(reply_id)
    async with socket(api_server, person) as opened:
        *looked, token, completed = await watch(opened, reply_id)
    assert looked == [
        {"__typename": "MayaToolStarted", "sequence": 1, "name": "list_campaigns"},
        {"__typename": "MayaToolFinished", "sequence": 2, "name": "list_campaigns", "succeeded": True},
        {"__typename": "MayaToolStarted", "sequence": 3, "name": "unknown"},
        {"__typename": "MayaToolFinished", "sequence": 4, "name": "unknown", "succeeded": False},
    ]
    assert token == {"__typename": "MayaToken", "sequence": 5, "text": "None."}
    assert (completed["__typename"], completed["sequence"]) == ("MayaReplyCompleted", 6)


async def test_a_reply_survives_an_api_restart(person: Person, runtime: Runtime) -> None:
    """The API goes away in the middle of a reply; a viewer comes back to another and gets the rest."""
    gate = asyncio.Event()
    person.stage = person.stage.scripted(speaking("Before ", then=gate))
    reply_id = (await person.send("Go on"))["reply"]["id"]
    run = asyncio.create_task(person.run(reply_id))
    request = GraphQLRequest(REPLY, variable_values={"id": reply_id})
    async with served(runtime) as server, socket(server, person) as opened:
        async for result in opened.subscribe(request):
            assert result["mayaReply"] == {"__typename": "MayaToken", "sequence": 1, "text": "Before "}
            break
    gate.set()
    await run
    async with served(runtime) as server, socket(server, person) as opened:
        rest = await watch(opened, reply_id, after=1)
    assert [event["sequence"] for event in rest] == list(range(2, len(rest) + 2))
    assert rest[0]["text"] == "the end"
    assert rest[-1]["message"]["content"] == "Before the end"


async def test_bad_arguments_of_the_subscription(person: Person, api_server: Served) -> None:
    """A negative sequence, a person's own message and nonsense are clear errors."""
    sent = await person.send("Hello")
    async with socket(api_server, person) as opened:
        with pytest.raises(TransportQueryError, match="sequence"):
            await watch(opened, sent["reply"]["id"], after=-1)
        for unknown in (sent["message"]["id"], "nonsense", encode_global_id("MayaMessage", new_id())):
            with pytest.raises(TransportQueryError, match="no such reply"):
                await watch(opened, unknown)


async def test_a_viewer_may_talk_to_maya(person: Person) -> None:
    """The least role has its own conversations."""
    viewer = user_actor(person.stage.actor.organization_id, new_id(), Role.VIEWER)
    await factories.member(person.stage.runtime, viewer)
    started = await as_colleague(person, viewer).execute(START, {"input": {"title": " Mine "}})
    assert started["startConversation"]["conversation"]["title"] == "Mine"
