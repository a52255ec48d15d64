import asyncio

import aiohttp
import orjson
import pytest

from tests.sandbox.conftest import Answer, Client, Json, mail
from tests.waiting import until

# A busy machine may miss a short stall: then a longer one is tried.
STALLS = (0.3, 3.0, 30.0)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


async def accepted_count(client: Client) -> object:
    """The number of messages in the ledger."""
    return (await client.summary())["accepted"]


async def has_accepted(client: Client, count: int) -> bool:
    """Whether the ledger has this number of messages."""
    return await accepted_count(client) == count


async def start_stalled_request(client: Client, switch: str, seconds: float) -> asyncio.Task[Answer]:
    """Send a message that the sandbox stalls, and wait until the stall has started."""
    await client.faults(postmark={switch: {"seconds": seconds, "count": 1}})
    sending = asyncio.create_task(client.call("POST", "/email/batch", [mail()]))

    async def has_occurred() -> bool:
        faults = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
        assert isinstance(faults, dict)
        return bool(faults[switch]["fired"])

    await until(has_occurred)
    return sending


@pytest.mark.parametrize(
    ("switch", "status", "messages"),
    [
        ({"rate_limited": True}, 429, 0),
        ({"server_error_before_accept": True}, 500, 0),
        ({"server_error_after_accept": True}, 500, 2),
        ({"half_batch": True}, 500, 1),
        ({"http_status": {"status": 422, "error_code": 405}}, 422, 0),
        ({"http_status": {"status": 413, "error_code": 413}}, 413, 0),
    ],
)
async def test_a_fault_has_its_status_and_its_number_of_accepted_messages(
    client: Client, switch: Json, status: int, messages: int
) -> None:
    """Each fault returns its status, and accepts exactly this number of messages."""
    await client.faults(postmark=switch)
    answer = await client.call("POST", "/email/batch", [mail("a@example.com"), mail("b@example.com")])
    assert answer.status == status
    assert await accepted_count(client) == messages


async def test_http_status_has_its_error_code(client: Client) -> None:
    """The code and the message of the switch are in the response."""
    await client.faults(postmark={"http_status": {"status": 422, "error_code": 412, "message": "Pending."}})
    answer = await client.call("POST", "/email/batch", [mail()])
    assert answer.object() == {"ErrorCode": 412, "Message": "Pending."}


async def test_retry_after_is_a_header(client: Client) -> None:
    """The seconds in the switch are in the Retry-After header, for both vendors."""
    await client.faults(
        postmark={"rate_limited": {"retry_after": 7}}, llm={"status": {"status": 429, "retry_after": 9}}
    )
    for path, seconds in (("/email/batch", "7"), ("/api/v1/chat/completions", "9")):
        headers = {"X-Postmark-Server-Token": "t", "Authorization": "Bearer k", "Content-Type": "application/json"}
        body = b"[]" if path == "/email/batch" else orjson.dumps(CHAT)
        async with client.session.post(client.url + path, data=body, headers=headers) as response:
            assert (response.status, response.headers["retry-after"]) == (429, seconds)


async def test_a_cut_response_comes_after_accepting(client: Client) -> None:
    """The client loses the connection during the response to accepted messages."""
    await client.faults(postmark={"cut_reply": {"count": 1}})
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.call("POST", "/email/batch", [mail()])
    assert await accepted_count(client) == 1
    assert (await client.send(mail()))[0]["ErrorCode"] == 0


async def test_an_unreadable_response_has_status_200(client: Client) -> None:
    """The body cannot be parsed; the messages are accepted."""
    await client.faults(postmark={"unreadable_reply": True})
    with pytest.raises(orjson.JSONDecodeError):
        await client.call("POST", "/email/batch", [mail()])
    assert await accepted_count(client) == 1


@pytest.mark.parametrize(("switch", "messages_meanwhile"), [("stall_before_accept", 0), ("stall_after_accept", 1)])
async def test_a_stall_is_before_or_after_accepting(client: Client, switch: str, messages_meanwhile: int) -> None:
    """During a stall the ledger shows whether the messages have been accepted."""
    for seconds in STALLS:
        await client.call("DELETE", "/sandbox/ledger")
        sending = await start_stalled_request(client, switch, seconds)
        count, in_time = await accepted_count(client), not sending.done()
        assert (await sending).status == 200
        assert await accepted_count(client) == 1
        if in_time and count == messages_meanwhile:
            return
    pytest.fail("the ledger does not show it")


async def test_a_request_aborted_during_a_stall_is_accepted_later(client: Client) -> None:
    """Nothing is accepted when the client disconnects, and everything a moment later."""
    for seconds in STALLS:
        await client.call("DELETE", "/sandbox/ledger")
        sending = await start_stalled_request(client, "stall_before_accept", seconds)
        sending.cancel()
        await asyncio.wait([sending])
        count = await accepted_count(client)
        await until(lambda: has_accepted(client, 1))
        if count == 0:
            return
    pytest.fail("it was accepted before the client disconnected")


async def test_search_error_has_its_status(client: Client) -> None:
    """A search can fail alone; the next one succeeds."""
    await client.faults(postmark={"search_error": {"status": 503, "count": 1}})
    path = "/messages/outbound?count=10&offset=0&metadata_batch=b1"
    assert [(await client.call("GET", path)).status for _ in range(2)] == [503, 200]


async def test_item_error_refuses_the_addresses_of_its_pattern(client: Client) -> None:
    """Only matching addresses are refused, with the code of the switch."""
    await client.faults(postmark={"item_error": {"pattern": "*@bad.example.com", "error_code": 300}})
    good, bad = await client.send(mail("a@example.com"), mail("A@BAD.example.com"))
    assert (good["ErrorCode"], bad["ErrorCode"]) == (0, 300)


async def test_search_lag_hides_recent_messages(client: Client) -> None:
    """The search finds a message only after the lag."""
    path = "/messages/outbound?count=10&offset=0&metadata_batch=b1"
    await client.faults(postmark={"search_lag_seconds": 3600})
    await client.send(mail())
    assert (await client.call("GET", path)).object()["TotalCount"] == 0
    await client.faults(postmark={"search_lag_seconds": 0.3})

    async def is_shown() -> bool:
        return (await client.call("GET", path)).object()["TotalCount"] == 1

    await until(is_shown)


async def test_count_and_skip_decide_when_a_fault_occurs(client: Client) -> None:
    """With skip 1 and count 2 a fault occurs in the second and third request only."""
    await client.faults(postmark={"rate_limited": {"skip": 1, "count": 2}})
    statuses = [(await client.call("POST", "/email/batch", [mail()])).status for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    faults = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
    assert faults == {"rate_limited": {"count": 0, "skip": 0, "probability": 1.0, "fired": 2}}


async def test_a_fault_with_a_probability_occurs_in_some_requests(client: Client) -> None:
    """With probability one half it occurs in some of many requests, and not in others."""
    await client.faults(postmark={"rate_limited": {"probability": 0.5}})
    statuses = {(await client.call("POST", "/email/batch", [mail()])).status for _ in range(40)}
    assert statuses == {200, 429}


async def test_put_replaces_only_the_sections_it_names(client: Client) -> None:
    """A section does not affect others, an empty one clears its switches, DELETE clears all."""
    await client.faults(postmark={"rate_limited": True}, llm={"slow_tokens": 0.1})
    await client.faults(postmark={})
    faults = (await client.call("GET", "/sandbox/faults")).object()
    assert faults["postmark"] == {}
    assert faults["llm"] == {
        "slow_tokens": {"seconds": 0.1, "count": None, "skip": 0, "probability": 1.0, "fired": 0}
    }
    assert (await client.call("DELETE", "/sandbox/faults")).status == 204
    assert (await client.call("GET", "/sandbox/faults")).object()["llm"] == {}


@pytest.mark.parametrize(
    "document",
    [
        {"mail": {}},
        {"postmark": {"rate_limit": True}},
        {"postmark": {"rate_limited": {"often": 1}}},
        {"postmark": {"rate_limited": {"count": "many"}}},
        {"postmark": {"rate_limited": {"probability": True}}},
        {"postmark": {"stall_before_accept": {"seconds": "long"}}},
        {"postmark": []},
        [],
        b"{",
    ],
)
async def test_an_unknown_switch_is_refused(client: Client, document: object) -> None:
    """A misspelt switch or option gets a 400 and changes nothing."""
    await client.faults(postmark={"rate_limited": {"count": 7}})
    assert (await client.call("PUT", "/sandbox/faults", document)).status == 400
    faults = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
    assert isinstance(faults, dict)
    assert faults["rate_limited"]["count"] == 7
