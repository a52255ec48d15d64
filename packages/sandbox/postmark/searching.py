import time
from collections.abc import Iterable
from datetime import datetime
from email.utils import getaddresses
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from sandbox.ledger import AcceptedMessage, Ledger
from sandbox.postmark.admission import check_accept, check_token, refusal
from sandbox.state import sandbox_of
from sandbox.wire import JsonObject, reply, timestamp

MAX_COUNT = 500
MAX_DEPTH = 10_000
# Postmark interprets a date without an offset as Eastern Time (documentation of its Messages API).
EASTERN = ZoneInfo("America/New_York")
STATUSES = frozenset(("queued", "sent", "processed"))


async def search(request: Request) -> Response:
    """`GET /messages/outbound`: newest first, one metadata field at a time, at most 10,000 deep."""
    sandbox = sandbox_of(request)
    check_token(sandbox, request)
    check_accept(request)
    if fault := sandbox.faults.take("postmark", "search_error"):
        raise refusal(fault.integer("status", 500), 0, "The search failed.")
    params = request.query_params
    count, offset = _whole(params, "count"), _whole(params, "offset")
    if not 1 <= count <= MAX_COUNT or count + offset > MAX_DEPTH:
        raise refusal(422, 300, "'count' is 1 to 500, and 'count' plus 'offset' at most 10000.")
    lag = sandbox.faults.take("postmark", "search_lag_seconds")
    horizon = time.time() - (lag.number("seconds", 0) if lag else 0)
    stream = params.get("messagestream", sandbox.config.default_search_stream)
    messages = [
        message
        for message in _narrow(_candidates(sandbox.ledger, params), params, stream)
        if message.received_at <= horizon
    ]
    messages.reverse()
    hits = [_hit(message) for message in messages[offset : offset + count]]
    return reply({"TotalCount": len(messages), "Messages": hits})


async def details(request: Request) -> Response:
    """`GET /messages/outbound/{id}/details`: one message, with its bodies if they are still stored."""
    sandbox = sandbox_of(request)
    check_token(sandbox, request)
    message = sandbox.ledger.by_id.get(request.path_params["message_id"])
    if message is None:
        raise refusal(422, 701, "This message was not found.")
    stored = sandbox.ledger.bodies.get(message.message_id, {})
    return reply(
        {
            **_hit(message),
            "HtmlBody": stored.get("HtmlBody") or "",
            "TextBody": stored.get("TextBody") or "",
            "Body": "",
            "MessageEvents": [],
        }
    )


def _whole(params: QueryParams, name: str) -> int:
    value = params.get(name, "")
    if not value.isdecimal():
        raise refusal(422, 300, f"'{name}' is required and must be a whole number.")
    return int(value)


def _candidates(ledger: Ledger, params: QueryParams) -> list[AcceptedMessage]:
    fields = [(name, value) for name, value in params.multi_items() if name.startswith("metadata_")]
    if len(fields) > 1:
        raise refusal(422, 300, "Search by one metadata field at a time.")
    if fields:
        name, value = fields[0]
        return ledger.with_metadata(name.removeprefix("metadata_"), value)
    if recipient := params.get("recipient"):
        return ledger.for_recipient(recipient)
    return ledger.messages


def _narrow(
    messages: Iterable[AcceptedMessage], params: QueryParams, stream: str | None
) -> Iterable[AcceptedMessage]:
    recipient, sender = params.get("recipient", "").lower(), params.get("fromemail", "").lower()
    tag, subject, status = params.get("tag"), params.get("subject", "").lower(), params.get("status", "").lower()
    if status and status not in STATUSES:
        raise refusal(422, 300, "'status' is queued, sent or processed.")
    since, until = _moment(params.get("fromdate")), _moment(params.get("todate"))
    return (
        message
        for message in messages
        if (not recipient or recipient in map(str.lower, message.recipients))
        and (not sender or sender == message.sender.lower())
        and (tag is None or tag == message.tag)
        and subject in message.subject.lower()
        and (not status or status == message.status.lower())
        and (stream is None or stream == message.stream)
        and (since is None or message.received_at >= since)
        and (until is None or message.received_at <= until)
    )


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(422, 300, f"'{text}' is not a date such as 2026-01-31T12:00:00.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=EASTERN)).timestamp()


def _hit(message: AcceptedMessage) -> JsonObject:
    return {
        "Tag": message.tag,
        "MessageID": message.message_id,
        "MessageStream": message.stream,
        "To": [{"Email": email, "Name": name or None} for name, email in getaddresses([message.to])],
        "Cc": [],
        "Bcc": [],
        "Recipients": message.recipients,
        "ReceivedAt": timestamp(message.received_at),
        "From": message.from_header or message.sender,
        "Subject": message.subject,
        "Attachments": [],
        "Status": message.status,
        "TrackOpens": message.track_opens,
        "TrackLinks": "HtmlAndText" if message.link else "None",
        "Metadata": message.metadata,
        "Sandboxed": False,
    }
