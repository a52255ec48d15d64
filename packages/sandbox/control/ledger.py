from dataclasses import asdict

import orjson
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from sandbox.events import list_change
from sandbox.ledger import AcceptedMessage, summarize
from sandbox.state import Sandbox, sandbox_of
from sandbox.wire import HttpError, JsonObject, read_object, reply

MAX_PAGE_SIZE = 1_000
FILTERS = ("campaign", "batch", "delivery")


class Entries(HTTPEndpoint):
    """`/sandbox/ledger`."""

    async def get(self, request: Request) -> Response:
        """A page of the accepted messages, oldest first."""
        messages = _filtered(sandbox_of(request), request)
        limit, offset = _whole(request, "limit", 100), _whole(request, "offset", 0)
        page = messages[offset : offset + min(limit, MAX_PAGE_SIZE)]
        return reply({"total": len(messages), "offset": offset, "messages": [asdict(message) for message in page]})

    async def delete(self, request: Request) -> Response:
        """Delete messages, suppressions, model requests and pending events; faults stay."""
        sandbox = sandbox_of(request)
        sandbox.ledger.reset()
        sandbox.webhooks.reset()
        sandbox.calls.reset()
        return Response(status_code=204)


async def summary(request: Request) -> Response:
    """Totals and duplicates of the (filtered) messages."""
    sandbox = sandbox_of(request)
    counters = sandbox.ledger.counters
    return reply(
        {
            **summarize(_filtered(sandbox, request)),
            "requests": counters["requests"],
            "refused": counters["refused"],
            "suppressions": len(sandbox.ledger.suppressions),
        }
    )


class Suppressions(HTTPEndpoint):
    """`/sandbox/suppressions`."""

    async def get(self, request: Request) -> Response:
        """All suppressed addresses."""
        entries = sandbox_of(request).ledger.suppressions.values()
        return reply({"suppressions": [asdict(entry) for entry in entries]})

    async def post(self, request: Request) -> Response:
        """Suppress an address on a stream (default `broadcast`); `webhook: true` also sends a webhook."""
        sandbox = sandbox_of(request)
        stream, email, document = await _address(request)
        if stream not in sandbox.config.message_streams:
            raise HttpError(400, {"error": f"unknown stream {stream!r}", "known": sandbox.config.message_streams})
        reason = document.get("reason", "ManualSuppression")
        origin = str(document.get("origin", "Customer"))
        entry = sandbox.ledger.suppress(stream, email, str(reason), origin)
        if document.get("webhook") is True:
            sandbox.webhooks.send(orjson.dumps(list_change(stream, email, origin, str(reason))))
        return reply(asdict(entry), 201)

    async def delete(self, request: Request) -> Response:
        """Reactivate an address; 404 if it was not suppressed. `webhook: true` also sends a webhook."""
        sandbox = sandbox_of(request)
        stream, email, document = await _address(request)
        if not sandbox.ledger.reactivate(stream, email):
            raise HttpError(404, {"error": "the address is not suppressed on this stream"})
        if document.get("webhook") is True:
            origin = str(document.get("origin", "Customer"))
            sandbox.webhooks.send(orjson.dumps(list_change(stream, email, origin, None)))
        return Response(status_code=204)


async def _address(request: Request) -> tuple[str, str, JsonObject]:
    document = await read_object(request)
    email, stream = document.get("email"), document.get("stream", "broadcast")
    if not isinstance(email, str) or "@" not in email or not isinstance(stream, str):
        raise HttpError(400, {"error": "pass an email, and a stream if it is not broadcast"})
    return stream, email, document


def _filtered(sandbox: Sandbox, request: Request) -> list[AcceptedMessage]:
    params = request.query_params
    filters = [(name, params[name]) for name in FILTERS if name in params]
    recipient = params.get("recipient", "").lower()
    if filters:
        messages = sandbox.ledger.with_metadata(*filters[0])
    elif recipient:
        messages = sandbox.ledger.for_recipient(recipient)
    else:
        messages = sandbox.ledger.messages
    return [
        message
        for message in messages
        if all(message.metadata.get(name) == value for name, value in filters[1:])
        and (not recipient or recipient in map(str.lower, message.recipients))
    ]


def _whole(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, str(default))
    if not value.isdecimal():
        raise HttpError(400, {"error": f"{name} must be a whole number"})
    return int(value)
