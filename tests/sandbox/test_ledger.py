import asyncio
import sys
from pathlib import Path

import aiohttp
import orjson
import pytest

from sandbox import SandboxConfig
from sandbox.faults import KNOWN
from tests.sandbox.conftest import QUIET, Client, Json, mail, sandbox_with


async def test_entries_are_paged_and_filtered(client: Client) -> None:
    """Pages are in the order of acceptance, filtered by metadata and recipient."""
    await client.send(*[mail(f"p{n}@example.com") for n in range(5)])
    await client.send(mail("p1@example.com", Metadata={"batch": "b2", "delivery": "x", "campaign": "c1"}))
    page = (await client.call("GET", "/sandbox/ledger?limit=2&offset=1")).object()
    assert page["total"] == 6
    messages = page["messages"]
    assert isinstance(messages, list)
    assert [message["recipients"] for message in messages] == [["p1@example.com"], ["p2@example.com"]]
    for query, total in (
        ("batch=b2", 1),
        ("campaign=c1", 6),
        ("campaign=c1&batch=b1", 5),
        ("delivery=x", 1),
        ("recipient=P1@example.com", 2),
        ("batch=b2&recipient=p2@example.com", 0),
    ):
        assert (await client.call("GET", f"/sandbox/ledger?{query}")).object()["total"] == total, query
    assert (await client.call("GET", "/sandbox/ledger?limit=few")).status == 400


async def test_summary_counts_duplicates(client: Client) -> None:
    """By delivery, and by campaign and mailbox, ignoring the case of the address."""
    await client.send(mail("a@example.com"), mail("A@Example.com", Metadata={"campaign": "c1", "delivery": "other"}))
    await client.send(
        mail("a@example.com", Metadata={"campaign": "c2", "delivery": "d-a@example.com"}), mail("nobody")
    )
    summary = await client.summary()
    assert summary == {
        "accepted": 3,
        "distinct_deliveries": 2,
        "distinct_recipients": 1,
        "distinct_mailboxes": 2,
        "duplicates": {
            "deliveries": 1,
            "mailboxes": 1,
            "by_delivery": [{"delivery": "d-a@example.com", "count": 2}],
            "by_mailbox": [{"campaign": "c1", "recipient": "a@example.com", "count": 2}],
        },
        "campaigns": {"c1": 2, "c2": 1},
        "requests": 2,
        "refused": 1,
        "suppressions": 0,
    }
    filtered = (await client.call("GET", "/sandbox/ledger/summary?campaign=c2")).object()
    assert filtered["accepted"] == 1


async def test_reset_deletes_messages_and_suppressions(client: Client) -> None:
    """Only the switches stay."""
    await client.send(mail())
    await client.call("POST", "/sandbox/suppressions", {"email": "a@example.com"})
    assert (await client.call("DELETE", "/sandbox/ledger")).status == 204
    summary = await client.summary()
    assert (summary["accepted"], summary["suppressions"], summary["requests"]) == (0, 0, 0)
    assert (await client.call("GET", "/sandbox/ledger?campaign=c1")).object()["total"] == 0


async def test_the_file_contains_acknowledged_messages(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """The line is written before the response; another run restores it, and drops an incomplete last line."""
    config = SandboxConfig(ledger_path=tmp_path / "deep" / "ledger.jsonl", pace=0, rates=QUIET)
    assert config.ledger_path is not None
    async with sandbox_with(session, config) as client:
        (result,) = await client.send(mail("a@example.com"))
        await client.call("POST", "/sandbox/suppressions", {"email": "s@example.com"})
        lines = [orjson.loads(line) for line in config.ledger_path.read_bytes().splitlines()]
        assert lines[0]["message_id"] == result["MessageID"]
    with config.ledger_path.open("ab") as file:
        file.write(b'{"seq": 2, "message_id": "to')
    async with sandbox_with(session, config) as client:
        await client.send(mail("b@example.com"))
        assert (await client.summary())["accepted"] == 2
        assert (await client.send(mail("s@example.com")))[0]["ErrorCode"] == 406
        await client.call("DELETE", "/sandbox/suppressions", {"email": "s@example.com"})
    async with sandbox_with(session, config) as client:
        page = (await client.call("GET", "/sandbox/ledger")).object()
        messages: list[Json] = page["messages"]  # type: ignore[assignment]
        assert [(message["seq"], message["recipients"]) for message in messages] == [
            (1, ["a@example.com"]),
            (2, ["b@example.com"]),
        ]
        assert (await client.summary())["suppressions"] == 0
        await client.call("DELETE", "/sandbox/ledger")
        assert config.ledger_path.read_bytes() == b""


SERVE = """
import socket, sys, pathlib, uvicorn
from sandbox import EngagementRates, SandboxConfig, build
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
listening.listen()
print(listening.getsockname()[1], flush=True)
app = build(SandboxConfig(ledger_path=pathlib.Path(sys.argv[1]), rates=EngagementRates(hard_bounce=0)))
uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])
"""


async def test_a_killed_sandbox_keeps_acknowledged_messages(session: aiohttp.ClientSession, tmp_path: Path) -> None:
    """After SIGKILL during batches every acknowledged message is in the file, which can be read again."""
    path = tmp_path / "ledger.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    killed = Client(f"http://127.0.0.1:{int(await process.stdout.readline())}", session)
    acknowledged: list[object] = []

    async def keep_sending() -> None:
        while True:
            batch = [mail(f"p{n}@example.com", Metadata={"delivery": str(n)}) for n in range(200)]
            acknowledged.extend(result["MessageID"] for result in await killed.send(*batch))

    sending = [asyncio.create_task(keep_sending()) for _ in range(3)]
    try:
        async with asyncio.timeout(120):
            while len(acknowledged) < 2_000:  # noqa: ASYNC110 - the responses have no event to wait for
                await asyncio.sleep(0.01)
    finally:
        process.kill()
        await process.wait()
    results = await asyncio.gather(*sending, return_exceptions=True)
    assert all(isinstance(error, aiohttp.ClientError) for error in results)
    async with sandbox_with(session, SandboxConfig(ledger_path=path, pace=0)) as client:
        for message_id in acknowledged[-50:]:
            assert (await client.call("GET", f"/sandbox/messages/{message_id}")).status == 200
        total = (await client.summary())["accepted"]
    assert isinstance(total, int)
    assert total >= len(acknowledged) >= 2_000
    message_ids = {orjson.loads(line).get("message_id") for line in path.read_bytes().splitlines()}
    assert set(acknowledged) <= message_ids


async def test_the_latest_messages_can_be_read(client: Client) -> None:
    """As sent, and as HTML under a policy without scripts; of older messages only the entry is stored."""
    (first,) = await client.send(mail("a@example.com", HtmlBody="<script>alert(1)</script><b>Hi</b>"))
    path = f"/sandbox/messages/{first['MessageID']}"
    message = (await client.call("GET", path)).object()["message"]
    assert isinstance(message, dict)
    assert message["HtmlBody"] == "<script>alert(1)</script><b>Hi</b>"
    async with client.session.get(f"{client.url}{path}/html") as response:
        assert "sandbox" in response.headers["content-security-policy"]
        assert "<b>Hi</b>" in await response.text()
    await client.send(*[mail(f"p{n}@example.com") for n in range(200)])
    assert (await client.call("GET", path)).object()["message"] is None
    assert (await client.call("GET", f"{path}/html")).status == 404
    assert (await client.call("GET", "/sandbox/messages/unknown")).status == 404


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
async def test_the_index_describes_the_sandbox(client: Client, accept: str) -> None:
    """The root lists the endpoints and all switches, and escapes subjects."""
    await client.send(mail(Subject="<script>alert(1)</script>"))
    answer = await client.call("GET", "/", Accept=accept)
    text = str(answer.body)
    assert answer.status == 200
    assert "simulation" in text
    assert "/sandbox/faults" in text
    assert "<script>" not in text
    for section, switches in KNOWN.items():
        assert section in text
        assert [name for name in switches if name not in text] == []
