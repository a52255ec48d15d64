import asyncio
import hashlib
import os
import re
import time
from fnmatch import fnmatchcase

import orjson
from starlette.requests import Request
from starlette.responses import Response

from sandbox.faults import Faults
from sandbox.ledger import AcceptedMessage
from sandbox.postmark.admission import (
    BATCH_BYTES,
    SINGLE_BYTES,
    before_accepting,
    check_token,
    objects,
    read_json,
    refusal,
    server_error,
)
from sandbox.postmark.checking import Checked, Problem, check, check_types
from sandbox.state import Sandbox, sandbox_of
from sandbox.wire import JsonObject, interrupted, reply, timestamp

# Starts with a literal, which the regex engine finds quickly in a long body.
LINK = re.compile(r"""href=["'](https?://[^"'\s>]+)["']""")


async def send_batch(request: Request) -> Response:
    """`POST /email/batch`: status 200 with one result for each message, in order."""
    sandbox = sandbox_of(request)
    dry_run = check_token(sandbox, request)
    value = await read_json(request, BATCH_BYTES)
    await before_accepting(sandbox.faults)
    items = objects(value)
    for item in items:
        check_types(item)
    half = sandbox.faults.take("postmark", "half_batch")
    results = _accept(sandbox, items[: len(items) // 2] if half else items, dry_run=dry_run)
    if half:
        raise server_error()
    return await _after_accepting(sandbox.faults, orjson.dumps(results))


async def send_single(request: Request) -> Response:
    """`POST /email`: one message; status 422 if it is refused."""
    sandbox = sandbox_of(request)
    dry_run = check_token(sandbox, request)
    value = await read_json(request, SINGLE_BYTES)
    await before_accepting(sandbox.faults)
    if not isinstance(value, dict):
        raise refusal(422, 403, "Incompatible JSON: the message must be an object.")
    check_types(value)
    result = _accept(sandbox, [value], dry_run=dry_run)[0]
    if result["ErrorCode"] != 0:
        return reply(result, 422)
    return await _after_accepting(sandbox.faults, orjson.dumps(result))


async def _after_accepting(faults: Faults, body: bytes) -> Response:
    if fault := faults.take("postmark", "stall_after_accept"):
        await asyncio.sleep(fault.number("seconds", 1))
    if faults.take("postmark", "server_error_after_accept"):
        raise server_error()
    if faults.take("postmark", "cut_reply"):
        return interrupted(body)
    if faults.take("postmark", "unreadable_reply"):
        return Response(b'[{"ErrorCode": 0, "Mess\xff\x00', media_type="application/json")
    return Response(body, media_type="application/json")


def _accept(sandbox: Sandbox, items: list[JsonObject], *, dry_run: bool) -> list[JsonObject]:
    """Validate each message, add the accepted ones to the ledger, and schedule their events."""
    ledger = sandbox.ledger
    now = time.time()
    submitted_at = timestamp(now)
    ids = _message_ids(len(items))
    streams = frozenset(sandbox.config.message_streams)
    seq = len(ledger.messages)
    results: list[JsonObject] = []
    accepted: list[AcceptedMessage] = []
    bodies: list[JsonObject] = []
    for item, message_id in zip(items, ids, strict=True):
        checked = _check_message(sandbox, item, streams)
        if isinstance(checked, Problem):
            results.append({"ErrorCode": checked.code, "Message": checked.message})
            continue
        note = _remove_inactive(sandbox, checked)
        seq += 1
        accepted.append(_message(item, checked, seq, message_id, now))
        bodies.append(item)
        results.append(
            {
                "To": item["To"],
                "SubmittedAt": submitted_at,
                "MessageID": message_id,
                "ErrorCode": 0,
                "Message": "Test job accepted" if dry_run else note,
            }
        )
    ledger.counters.update(requests=1, refused=len(items) - len(accepted))
    if accepted and not dry_run:
        ledger.accept(accepted, bodies)
        sandbox.webhooks.schedule(accepted)
    return results


def _check_message(sandbox: Sandbox, item: JsonObject, streams: frozenset[str]) -> Checked | Problem:
    checked = check(item, streams, frozenset(sandbox.config.broadcast_streams))
    if isinstance(checked, Problem):
        return checked
    if sandbox.faults.peek("postmark", "item_error") and (problem := _item_error(sandbox.faults, checked)):
        return problem
    suppressions = sandbox.ledger.suppressions
    if suppressions and all((checked.stream, email.lower()) in suppressions for email in checked.recipients):
        return Problem(
            406,
            "You tried to send to recipient(s) that have been marked as inactive. "
            f"Found inactive addresses: {', '.join(checked.recipients)}.",
        )
    return checked


def _item_error(faults: Faults, checked: Checked) -> Problem | None:
    fault = faults.peek("postmark", "item_error")
    if fault is None or not any(
        fnmatchcase(email.lower(), fault.text("pattern", "*").lower()) for email in checked.recipients
    ):
        return None
    if faults.take("postmark", "item_error") is None:
        return None
    code = fault.integer("error_code", 406)
    return Problem(code, fault.text("message", f"The message was refused (code {code})."))


def _remove_inactive(sandbox: Sandbox, checked: Checked) -> str:
    suppressions = sandbox.ledger.suppressions
    inactive = [email for email in checked.recipients if (checked.stream, email.lower()) in suppressions]
    for email in inactive:
        checked.recipients.remove(email)
    if not inactive:
        return "OK"
    return f"Message OK, but will not deliver to these inactive addresses: {', '.join(inactive)}"


def _message(item: JsonObject, checked: Checked, seq: int, message_id: str, now: float) -> AcceptedMessage:
    html = str(item.get("HtmlBody") or "")
    content = f"{html}\0{item.get('TextBody') or ''}".encode(errors="surrogatepass")
    metadata = item.get("Metadata")
    tracked = item.get("TrackLinks") in ("HtmlAndText", "HtmlOnly")
    return AcceptedMessage(
        seq=seq,
        message_id=message_id,
        received_at=now,
        sender=checked.sender,
        to=str(item["To"]),
        recipients=checked.recipients,
        subject=str(item.get("Subject") or ""),
        tag=str(item.get("Tag") or ""),
        metadata=metadata if isinstance(metadata, dict) else {},
        stream=checked.stream,
        size=len(content) - 1,
        sha256=hashlib.sha256(content).hexdigest(),
        track_opens=item.get("TrackOpens") is True and bool(html),
        link=_first_link(html) if tracked else None,
        from_header=str(item["From"]),
    )


def _first_link(html: str) -> str | None:
    for match in LINK.finditer(html):
        if "unsubscribe" not in (link := match[1]).lower():
            return link
    return None


def _message_ids(count: int) -> list[str]:
    """Random UUIDs (version 4) from a single call of os.urandom."""
    digits = os.urandom(16 * count).hex()
    return [
        f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{'89ab'[int(d[16], 16) & 3]}{d[17:20]}-{d[20:]}"
        for d in (digits[start : start + 32] for start in range(0, 32 * count, 32))
    ]
