"""Conversations over HTTP, and replies over a real WebSocket, as clients use them."""

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
from integrations.scripted import text_reply, tool_call
from runtime import Runtime
from services.conversations import reading
from tests import factories
from tests.client import ApiClient
from tests.maya.conftest import Chat
from tests.maya.turns import streaming_turn
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
    """A user with a client, and a conversation."""

    def __init__(self, chat: Chat, api: ApiClient) -> None:
        self.chat = chat
        self.api = api.as_(factories.token(chat.runtime, chat.actor))
        self.conversation = encode_global_id("Conversation", chat.conversation_id)

    async def send(self, text: str, **changes: object) -> dict[str, Any]:
        """Send a message; returns the payload."""
        values = {"conversationId": self.conversation, "text": text, **changes}
        payload: dict[str, Any] = (await self.api.execute(SEND, {"input": values}))["sendMayaMessage"]
        return payload

    async def run(self, reply_id: str) -> None:
        """Run a reply, as a worker does."""
        decoded = decode_global_id(reply_id)
        assert decoded is not None
        row = await reading.get_reply(self.chat.runtime.reads(self.chat.actor.tenant), decoded[1])
        assert row is not None
        await self.chat.run(row)


@pytest.fixture
async def person(chat: Chat, api: ApiClient) -> Person:
    return Person(chat, api)


def as_colleague(person: Person, colleague: Actor) -> ApiClient:
    return person.api.as_(factories.token(person.chat.runtime, colleague))


@asynccontextmanager
async def socket(server: Served, person: Person) -> AsyncIterator[AsyncClientSession]:
    """A WebSocket of the user, through the `gql` client."""
    transport = WebsocketsTransport(
        url=server.websocket_url,
        init_payload={"authorization": f"Bearer {person.api.token}"},
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
    async with Client(transport=transport) as session:
        assert isinstance(session, AsyncClientSession)
        yield session


async def watch(session: AsyncClientSession, reply_id: str, after: int = 0) -> list[dict[str, Any]]:
    """All events of a reply."""
    request = GraphQLRequest(REPLY, variable_values={"id": reply_id, "after": after})
    async with asyncio.timeout(60):
        return [result["mayaReply"] async for result in session.subscribe(request)]


async def test_a_conversation_from_start_to_end(person: Person) -> None:
    """It is started with an empty input, gets its title from the first message, and is read page by page in order."""
    started = (await person.api.execute(START, {"input": {}}))["startConversation"]
    assert started["userErrors"] == []
    assert started["conversation"]["title"] is None
    person.conversation = started["conversation"]["id"]
    sent = await person.send("  How did *Spring* do?\nThanks  ")
    assert sent["userErrors"] == []
    assert sent["message"]["content"] == "How did *Spring* do?\nThanks"
    assert (sent["reply"]["role"], sent["reply"]["status"], sent["reply"]["content"]) == ("ASSISTANT", "PENDING", "")
    assert sent["conversation"]["title"] == "How did *Spring* do?"
    person.chat = person.chat.scripted(text_reply("Fine."))
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
async def test_invalid_messages_are_refused(person: Person, text: str, code: str) -> None:
    """Empty and too long texts and control characters are refused at the field, and nothing is stored."""
    [error] = (await person.send(text))["userErrors"]
    assert (error["code"], error["field"]) == (code, ["input", "text"])
    conversation = (await person.api.execute(CONVERSATION, {"id": person.conversation}))["conversation"]
    assert conversation["messages"]["totalCount"] == 0


async def test_the_longest_title_and_text(person: Person) -> None:
    """Titles of 200 and texts of 8,000 characters are accepted, as the schema documents."""
    started = (await person.api.execute(START, {"input": {"title": "x" * 200}}))["startConversation"]
    assert started["conversation"]["title"] == "x" * 200
    assert (await person.send("x" * 8_000))["message"]["content"] == "x" * 8_000


async def test_a_title_that_is_too_long_is_refused(person: Person) -> None:
    """It is a user error."""
    payload = (await person.api.execute(START, {"input": {"title": "x" * 201}}))["startConversation"]
    assert payload["conversation"] is None
    assert payload["userErrors"][0]["code"] == "TOO_LONG"


async def test_conversations_are_ordered_by_their_last_message(person: Person) -> None:
    """A question, and the end of its reply, move a conversation to the front; the others stay as they were."""
    query = "{ conversations { nodes { id title updatedAt } } }"

    async def order() -> list[dict[str, Any]]:
        conversations: list[dict[str, Any]] = (await person.api.execute(query))["conversations"]["nodes"]
        return conversations

    first = person.conversation
    second = (await person.api.execute(START, {"input": {"title": "Second"}}))["startConversation"]["conversation"][
        "id"
    ]
    assert [each["id"] for each in await order()] == [second, first]
    reply = (await person.send("How many?"))["reply"]
    wait_for_prompts = await order()
    assert [(each["id"], each["title"]) for each in wait_for_prompts] == [(first, "How many?"), (second, "Second")]
    await person.send("And in the second?", conversationId=second)
    assert [each["id"] for each in await order()] == [second, first]
    before = await order()
    person.chat = person.chat.scripted(text_reply("Ten."))
    await person.run(reply["id"])
    after = await order()
    assert [each["id"] for each in after] == [first, second]
    assert after[0]["updatedAt"] > before[0]["updatedAt"]
    assert after[1] == before[0]


async def test_a_reply_in_one_conversation_does_not_wait_for_another(person: Person) -> None:
    """Only an open reply of the same conversation prevents a question, and cancelling it cancels no other."""
    other = (await person.api.execute(START, {"input": {}}))["startConversation"]["conversation"]["id"]
    here, there = await person.send("Here"), await person.send("There", conversationId=other)
    assert here["userErrors"] == there["userErrors"] == []
    cancelled_reply = (await person.api.execute(CANCEL, {"id": here["reply"]["id"]}))["cancelMayaReply"]["reply"]
    assert cancelled_reply["status"] == "CANCELLED"
    [_, waiting] = (await person.api.execute(CONVERSATION, {"id": other}))["conversation"]["messages"]["nodes"]
    assert (waiting["id"], waiting["status"]) == (there["reply"]["id"], "PENDING")


async def test_a_conversation_has_one_open_reply(person: Person) -> None:
    """Of concurrent questions one is accepted, and the others are refused with a suggestion."""
    payloads = await asyncio.gather(*(person.send(f"Question {n}") for n in range(4)))
    accepted = [payload for payload in payloads if payload["reply"]]
    errors = [payload["userErrors"][0] for payload in payloads if not payload["reply"]]
    assert len(accepted) == 1
    assert [error["code"] for error in errors] == ["CONFLICT"] * 3
    assert "cancelMayaReply" in errors[0]["suggestion"]
    cancelled = (await person.api.execute(CANCEL, {"id": accepted[0]["reply"]["id"]}))["cancelMayaReply"]
    assert cancelled["reply"]["status"] == "CANCELLED"
    assert (await person.send("Next"))["userErrors"] == []


async def test_conversations_are_visible_to_their_author_only(person: Person, api_server: Served) -> None:
    """For a colleague, and for another organization, conversation and messages do not exist."""
    runtime = person.chat.runtime
    sent = await person.send("A secret")
    colleague = user_actor(person.chat.actor.organization_id, new_id(), Role.ADMIN)
    await factories.member(runtime, colleague)
    for other in (colleague, await factories.organization(runtime)):
        api = as_colleague(person, other)
        assert (await api.execute(CONVERSATION, {"id": person.conversation}))["conversation"] is None
        ids = [person.conversation, sent["reply"]["id"], sent["message"]["id"]]
        data = await api.execute(
            "query($ids: [ID!]!) { nodes(ids: $ids) { id } conversations { totalCount } }", {"ids": ids}
        )
        assert data == {"nodes": [None] * 3, "conversations": {"totalCount": 0}}
        response = await api.execute(SEND, {"input": {"conversationId": person.conversation, "text": "Hi"}})
        assert response["sendMayaMessage"]["userErrors"][0]["code"] == "NOT_FOUND"
        response = await api.execute(CANCEL, {"id": sent["reply"]["id"]})
        assert response["cancelMayaReply"]["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "messageId"]}]
        async with socket(api_server, Person(replace(person.chat, actor=other), person.api)) as session:
            with pytest.raises(TransportQueryError, match="no such reply"):
                await watch(session, sent["reply"]["id"])
    assert (await person.api.execute(CONVERSATION, {"id": person.conversation}))["conversation"] is not None


async def test_a_reply_over_the_socket(person: Person, api_server: Served) -> None:
    """Two subscribers get all events once and in order, a resumed subscription the rest; all streams complete."""
    person.chat = person.chat.scripted(streaming_turn(*(f"word{n} " for n in range(20)), then=0.0, every=0.02))
    sent = await person.send("Count to twenty")
    reply_id = sent["reply"]["id"]
    async with socket(api_server, person) as first, socket(api_server, person) as second:
        watching = [asyncio.create_task(watch(session, reply_id)) for session in (first, second)]
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
    """The last event is a failure with its code."""
    person.chat = person.chat.scripted(streaming_turn("So far ", then=RuntimeError("secret")))
    sent = await person.send("Fail, please")
    reply_id = sent["reply"]["id"]
    await person.run(reply_id)
    async with socket(api_server, person) as session:
        token, failure = await watch(session, reply_id)
    assert token["text"] == "So far "
    assert (failure["__typename"], failure["code"]) == ("MayaReplyFailed", "INTERNAL")
    assert failure["reply"]["content"] == "So far "
    assert "secret" not in failure["reason"]
    data = await person.api.execute(
        "query($id: ID!) { node(id: $id) { ... on MayaMessage { failure { code message } } } }", {"id": reply_id}
    )
    assert data["node"]["failure"] == {"code": failure["code"], "message": failure["reason"]}
    assert failure["reason"]


async def test_tools_over_the_socket(person: Person, api_server: Served) -> None:
    """A tool call has an event at its start and end, with the tool's name; unknown tools are named `unknown`."""
    person.chat = person.chat.scripted(
        tool_call("list_campaigns", '{"limit": 1}'), tool_call("delete_everything"), text_reply("None.")
    )
    reply_id = (await person.send("What is there?"))["reply"]["id"]
    await person.run(reply_id)
    async with socket(api_server, person) as session:
        *events, token, completed = await watch(session, reply_id)
    assert events == [
        {"__typename": "MayaToolStarted", "sequence": 1, "name": "list_campaigns"},
        {"__typename": "MayaToolFinished", "sequence": 2, "name": "list_campaigns", "succeeded": True},
        {"__typename": "MayaToolStarted", "sequence": 3, "name": "unknown"},
        {"__typename": "MayaToolFinished", "sequence": 4, "name": "unknown", "succeeded": False},
    ]
    assert token == {"__typename": "MayaToken", "sequence": 5, "text": "None."}
    assert (completed["__typename"], completed["sequence"]) == ("MayaReplyCompleted", 6)


async def test_a_reply_survives_an_api_restart(person: Person, runtime: Runtime) -> None:
    """The API process stops in the middle of a reply; a client that resumes at another process gets the rest."""
    gate = asyncio.Event()
    person.chat = person.chat.scripted(streaming_turn("Before ", then=gate))
    reply_id = (await person.send("Go on"))["reply"]["id"]
    run = asyncio.create_task(person.run(reply_id))
    request = GraphQLRequest(REPLY, variable_values={"id": reply_id})
    async with served(runtime) as server, socket(server, person) as session:
        async for result in session.subscribe(request):
            assert result["mayaReply"] == {"__typename": "MayaToken", "sequence": 1, "text": "Before "}
            break
    gate.set()
    await run
    async with served(runtime) as server, socket(server, person) as session:
        rest = await watch(session, reply_id, after=1)
    assert [event["sequence"] for event in rest] == list(range(2, len(rest) + 2))
    assert rest[0]["text"] == "the end"
    assert rest[-1]["message"]["content"] == "Before the end"


async def test_invalid_arguments_of_the_subscription(person: Person, api_server: Served) -> None:
    """A negative sequence, a user's own message and an invalid id are errors."""
    sent = await person.send("Hello")
    async with socket(api_server, person) as session:
        with pytest.raises(TransportQueryError, match="sequence"):
            await watch(session, sent["reply"]["id"], after=-1)
        for unknown in (sent["message"]["id"], "nonsense", encode_global_id("MayaMessage", new_id())):
            with pytest.raises(TransportQueryError, match="no such reply"):
                await watch(session, unknown)


async def test_a_viewer_may_talk_to_maya(person: Person) -> None:
    """The role with the fewest permissions can have conversations."""
    viewer = user_actor(person.chat.actor.organization_id, new_id(), Role.VIEWER)
    await factories.member(person.chat.runtime, viewer)
    started = await as_colleague(person, viewer).execute(START, {"input": {"title": " Mine "}})
    assert started["startConversation"]["conversation"]["title"] == "Mine"
