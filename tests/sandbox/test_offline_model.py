import orjson
import pytest

from tests.sandbox.chat import COUNT, HELLO, ask, join_chunks, opened, sdk, text, tool_turn, user
from tests.sandbox.conftest import Client, Json

CAMPAIGNS: Json = {
    "type": "function",
    "function": {
        "name": "list_campaigns",
        "description": "The latest campaigns.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"limit": {"type": "integer", "minimum": 1, "maximum": 5}},
            "required": ["limit"],
            "additionalProperties": False,
        },
    },
}
RESULTS: Json = {
    "type": "function",
    "function": {
        "name": "campaign_results",
        "parameters": {
            "type": "object",
            "properties": {"campaign_id": {"type": "string"}},
            "required": ["campaign_id"],
        },
    },
}


async def test_the_openai_sdk_reads_a_stream_with_tools(client: Client) -> None:
    """For a question about results the model lists campaigns, reads the one in question, and gives its figures."""
    messages = [user("What are the results of Spring sale?")]
    tools = [CAMPAIGNS, RESULTS, COUNT]
    campaigns = {"campaigns": [{"id": "c-1", "name": "Welcome"}, {"id": "c-2", "name": "Spring sale"}]}
    answers: dict[str, object] = {
        "list_campaigns": campaigns,
        "campaign_results": {"name": "Spring sale", "delivered": 1980, "openRate": 0.313},
    }
    tool_calls: list[tuple[str, object]] = []
    reply = ""
    async with sdk(client) as openai:
        for step in range(3):
            stream = await opened(openai, messages, tools)
            reply, calls = join_chunks([chunk async for chunk in stream])
            for name, arguments in calls.values():
                tool_calls.append((name, orjson.loads(arguments)))
                messages += tool_turn(f"call_{step}", name, answers[name], arguments)
    assert tool_calls == [("list_campaigns", {"limit": 5}), ("campaign_results", {"campaign_id": "c-2"})]
    assert "“Spring sale”: delivered 1,980, open rate 31.3 %" in reply


async def test_counts_come_from_the_tool(client: Client) -> None:
    """The reply has the tool's count of contacts; later replies do not repeat the introduction."""
    question = user("How many contacts do I have?")
    choice = await ask(client, [question], tools=[CAMPAIGNS, COUNT])
    assert choice["finish_reason"] == "tool_calls"
    earlier: list[Json] = [user("Hi"), {"role": "assistant", "content": "Hello!"}]
    reply = await text(
        client, [*earlier, question, *tool_turn("x", "count_contacts", {"count": 2000})], tools=[COUNT]
    )
    assert reply == "You have 2,000 contacts."


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"campaigns": []}, "I found no campaigns."),
        ({"error": {"message": "Not allowed."}}, "I could not look that up: Not allowed."),
        ([{"name": "A", "status": "SENT", "opens": 3}], "I found 1 campaign"),
        ({"data": {"nodes": [{"name": "A"}, {"name": "B"}], "totalCount": 12}}, "I found 12 entries"),
        ("plain words", "plain words"),
        (None, "found nothing"),
    ],
)
async def test_any_result_is_described(client: Client, result: object, expected: str) -> None:
    """Lists, errors, nested objects, texts and null each give a sentence."""
    reply = await text(client, [user("My campaigns?"), *tool_turn("x", "list_campaigns", result)], tools=[CAMPAIGNS])
    assert expected in reply


async def test_without_tools_or_a_topic_the_model_introduces_itself(client: Client) -> None:
    """Without tools, with tool_choice none, or for a greeting the text names the offline Maya."""
    question = [user("How are my campaigns?")]
    for changes in ({}, {"tools": [CAMPAIGNS], "tool_choice": "none"}):
        assert "offline Maya" in await text(client, question, **changes)
    assert "offline Maya" in await text(client, HELLO, tools=[CAMPAIGNS])
    later: list[Json] = [*HELLO, {"role": "assistant", "content": "Hi."}, user("Are you a real AI?")]
    assert "offline Maya" in await text(client, later)


def tool(name: str, **properties: object) -> Json:
    """A tool with these required arguments."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which campaigns did I send?", ("list_campaigns", {"status": None, "search": None})),
        ("How many subscribers opened it?", ("list_campaigns", {"status": None, "search": None})),
        ("How many contacts are there?", ("count_contacts", {})),
        ("Is bob@example.com a contact?", ("contact_by_email", {"email": "bob@example.com"})),
        ("Tell me a joke.", None),
    ],
)
async def test_the_offline_model_chooses_the_tool_by_its_name(
    client: Client, question: str, expected: tuple[str, Json] | None
) -> None:
    """By its topic; the arguments come from the question, and tools that write are never called."""
    nullable = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    tools = [
        tool("send_campaign", campaign_id={"type": "string"}),
        tool("contact_by_email", email={"type": "string"}),
        tool("count_contacts"),
        tool("campaign", id={"type": "string"}),
        tool("campaign_stats", campaign_id={"type": "string"}),
        tool("list_campaigns", status={"enum": ["sent", None]}, search=nullable),
    ]
    message = (await ask(client, [user(question)], tools=tools))["message"]
    assert isinstance(message, dict)
    tool_calls = [
        (call["function"]["name"], orjson.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls", [])
    ]
    assert tool_calls == ([expected] if expected else [])


async def test_a_draft_has_the_topic_of_the_question(client: Client) -> None:
    """It has a subject, and a body with the merge tag."""
    reply = await text(client, [user("Write an e-mail about our summer opening hours.")])
    assert "**Subject:** Summer opening hours" in reply
    assert '{{ contact.firstName | default: "there" }}' in reply
