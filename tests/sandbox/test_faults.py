import asyncio

import aiohttp
import orjson
import pytest

from tests.sandbox.conftest import Answer, Client, Json, mail
from tests.waiting import until

# A busy machine may sleep through a short stall: then a longer one is tried.
STALLS = (0.3, 3.0, 30.0)
CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


async def accepted(client: Client) -> object:
    """How many messages the ledger holds."""
    return (await client.summary())["accepted"]


async def holds(client: Client, count: int) -> bool:
    """Whether the ledger holds so many messages."""
    return await accepted(client) == count


async def stalled(client: Client, switch: str, seconds: float) -> asyncio.Task[Answer]:
    """A batch of one message that the sandbox holds up for so long, seen to be held up."""
    await client.faults(postmark={switch: {"seconds": seconds, "count": 1}})
    sending = asyncio.create_task(client.call("POST", "/email/batch", [mail()]))

    async def struck() -> bool:
        shown = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
        assert isinstance(shown, dict)
        return bool(shown[switch]["fired"])

    await until(struck)
    return sending


@pytest.mark.parametrize(
    ("switch", "status", "kept"),
    [
        ({"rate_limited": True}, 429, 0),
        ({"server_error_before_accept": True}, 500, 0),
        ({"server_error_after_accept": True}, 500, 2),
        ({"half_batch": True}, 500, 1),
        ({"http_status": {"status": 422, "error_code": 405}}, 422, 0),
        ({"http_status": {"status": 413, "error_code": 413}}, 413, 0),
    ],
)
async def test_a_fault_answers_its_status_and_accepts_what_it_says(
    client: Client, switch: Json, status: int, kept: int
) -> None:
    """Each fault's status goes with exactly the messages that it let through."""
    await client.faults(postmark=switch)
    answer = await client.call("POST", "/email/batch", [mail("a@example.com"), mail("b@example.com")])
    assert answer.status == status
    assert await accepted(client) == kept


async def test_http_status_carries_its_error_code(client: Client) -> None:
    """The code and message of the switch are in the reply."""
    await client.faults(postmark={"http_status": {"status": 422, "error_code": 412, "message": "Pending."}})
    answer = await client.call("POST", "/email/batch", [mail()])
    assert answer.object() == {"ErrorCode": 412, "Message": "Pending."}


async def test_retry_after_is_a_header(client: Client) -> None:
    """A rate limit names the seconds to wait when its switch does, in both vendors."""
    await client.faults(
        postmark={"rate_limited": {"retry_after": 7}}, llm={"status": {"status": 429, "retry_after": 9}}
    )
    for path, seconds in (("/email/batch", "7"), ("/api/v1/chat/completions", "9")):
        headers = {"X-Postmark-Server-Token": "t", "Authorization": "Bearer k", "Content-Type": "application/json"}
        body = b"[]" if path == "/email/batch" else orjson.dumps(CHAT)
        async with client.session.post(client.url + path, data=body, headers=headers) as response:
            assert (response.status, response.headers["retry-after"]) == (429, seconds)


async def test_a_cut_reply_accepts_and_breaks_off(client: Client) -> None:
    """The client loses the connection in the middle of a reply to messages that were accepted."""
    await client.faults(postmark={"cut_reply": {"count": 1}})
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.call("POST", "/email/batch", [mail()])
    assert await accepted(client) == 1
    assert (await client.send(mail()))[0]["ErrorCode"] == 0


async def test_an_unreadable_reply_is_a_200_that_does_not_parse(client: Client) -> None:
    """Garbage with status 200, after accepting."""
    await client.faults(postmark={"unreadable_reply": True})
    with pytest.raises(orjson.JSONDecodeError):
        await client.call("POST", "/email/batch", [mail()])
    assert await accepted(client) == 1


@pytest.mark.parametrize(("switch", "kept_meanwhile"), [("stall_before_accept", 0), ("stall_after_accept", 1)])
async def test_a_stall_holds_the_reply_before_or_after_accepting(
    client: Client, switch: str, kept_meanwhile: int
) -> None:
    """During a stall the ledger shows on which side of accepting it waits."""
    for seconds in STALLS:
        await client.call("DELETE", "/sandbox/ledger")
        sending = await stalled(client, switch, seconds)
        kept, in_time = await accepted(client), not sending.done()
        assert (await sending).status == 200
        assert await accepted(client) == 1
        if in_time and kept == kept_meanwhile:
            return
    pytest.fail("the ledger does not show it")


async def test_a_client_that_gives_up_during_a_stall_is_accepted_after_all(client: Client) -> None:
    """Nothing is accepted when the client gives up, and everything a moment later."""
    for seconds in STALLS:
        await client.call("DELETE", "/sandbox/ledger")
        sending = await stalled(client, "stall_before_accept", seconds)
        sending.cancel()
        await asyncio.wait([sending])
        kept = await accepted(client)
        await until(lambda: holds(client, 1))
        if kept == 0:
            return
    pytest.fail("it was accepted when the client gave up")


async def test_search_error_answers_its_status(client: Client) -> None:
    """A search can fail by itself, and is well again afterwards."""
    await client.faults(postmark={"search_error": {"status": 503, "count": 1}})
    path = "/messages/outbound?count=10&offset=0&metadata_batch=b1"
    assert [(await client.call("GET", path)).status for _ in range(2)] == [503, 200]


async def test_item_error_refuses_the_addresses_of_its_pattern(client: Client) -> None:
    """Only matching addresses are refused, with the code of the switch."""
    await client.faults(postmark={"item_error": {"pattern": "*@bad.example.com", "error_code": 300}})
    good, bad = await client.send(mail("a@example.com"), mail("A@BAD.example.com"))
    assert (good["ErrorCode"], bad["ErrorCode"]) == (0, 300)


async def test_search_lag_hides_what_was_accepted_lately(client: Client) -> None:
    """A message shows up in the search only after the lag."""
    path = "/messages/outbound?count=10&offset=0&metadata_batch=b1"
    await client.faults(postmark={"search_lag_seconds": 3600})
    await client.send(mail())
    assert (await client.call("GET", path)).object()["TotalCount"] == 0
    await client.faults(postmark={"search_lag_seconds": 0.3})

    async def is_shown() -> bool:
        return (await client.call("GET", path)).object()["TotalCount"] == 1

    await until(is_shown)


async def test_count_and_skip_say_when_a_fault_strikes(client: Client) -> None:
    """A fault with skip 1 and count 2 strikes the second and third request alone."""
    await client.faults(postmark={"rate_limited": {"skip": 1, "count": 2}})
    statuses = [(await client.call("POST", "/email/batch", [mail()])).status for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    shown = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
    assert shown == {"rate_limited": {"count": 0, "skip": 0, "probability": 1.0, "fired": 2}}


async def test_probability_strikes_some_requests(client: Client) -> None:
    """A fault of probability one half strikes some of many requests and spares others."""
    await client.faults(postmark={"rate_limited": {"probability": 0.5}})
    statuses = {(await client.call("POST", "/email/batch", [mail()])).status for _ in range(40)}
    assert statuses == {200, 429}


async def test_put_replaces_only_the_sections_it_names(client: Client) -> None:
    """Switching a section leaves the others, an empty section clears it, DELETE clears all."""
    await client.faults(postmark={"rate_limited": True}, llm={"slow_tokens": 0.1})
    await client.faults(postmark={})
    shown = (await client.call("GET", "/sandbox/faults")).object()
    assert shown["postmark"] == {}
    assert shown["llm"] == {"slow_tokens": {"seconds": 0.1, "count": None, "skip": 0, "probability": 1.0, "fired": 0}}
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
    """A misspelt switch or option answers 400 and changes nothing."""
    await client.faults(postmark={"rate_limited": {"count": 7}})
    assert (await client.call("PUT", "/sandbox/faults", document)).status == 400
    shown = (await client.call("GET", "/sandbox/faults")).object()["postmark"]
    assert isinstance(shown, dict)
    assert shown["rate_limited"]["count"] == 7
