import orjson
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from sandbox.events import WebhookEvent
from sandbox.ledger import AcceptedMessage
from sandbox.state import Sandbox, sandbox_of
from sandbox.webhooks import WebhookEndpoint
from sandbox.wire import HttpError, JsonObject, read_object, reply

MAX_TIMES = 100


class Hooks(HTTPEndpoint):
    """`/sandbox/webhooks`."""

    async def get(self, request: Request) -> Response:
        """The URL of the endpoint, the numbers of pending events, and the counters of attempts by outcome."""
        return reply(sandbox_of(request).webhooks.show())

    async def put(self, request: Request) -> Response:
        """Set the client's endpoint; `url: null` for none."""
        document = await read_object(request)
        url = _text(document, "url")
        hooks = sandbox_of(request).webhooks
        username, password = _text(document, "username"), _text(document, "password")
        hooks.set_endpoint(WebhookEndpoint(url, username, password) if url else None)
        return reply(hooks.show())

    async def delete(self, request: Request) -> Response:
        """Drop pending events; sending is resumed if a 403 had stopped it."""
        sandbox_of(request).webhooks.reset()
        return Response(status_code=204)

    async def post(self, request: Request) -> Response:
        """Send an event now: a given one, one built for a message, or a replay of a message's events."""
        document = await read_object(request)
        hooks = sandbox_of(request).webhooks
        times = document.get("times", 1)
        if not isinstance(times, int) or not 1 <= times <= MAX_TIMES:
            raise HttpError(400, {"error": f"times must be 1 to {MAX_TIMES}"})
        bodies = _bodies(sandbox_of(request), document) * times
        if document.get("wait", True) is False:
            for body in bodies:
                hooks.send(body)
            return reply({"queued": len(bodies)}, 202)
        return reply({"statuses": [await hooks.send_now(body) for body in bodies]})


def _bodies(sandbox: Sandbox, document: JsonObject) -> list[bytes]:
    event = document.get("event")
    if event is not None:
        return [orjson.dumps(event)]
    if replayed := _text(document, "replay"):
        return sandbox.webhooks.history(_message(sandbox, replayed).message_id)
    kind, message_id = _text(document, "record_type"), _text(document, "message_id")
    if not kind or not message_id:
        raise HttpError(400, {"error": "pass an event, a replay, or a record_type and a message_id"})
    message = _message(sandbox, message_id)
    built = WebhookEvent(
        kind=(_text(document, "type") or "HardBounce") if kind == "Bounce" else kind,
        message=message,
        recipient=_text(document, "recipient") or message.recipients[0],
        first=document.get("first_open", True) is True,
        link=_text(document, "link"),
    )
    return sandbox.webhooks.encode(sandbox.webhooks.apply(built))


def _message(sandbox: Sandbox, message_id: str) -> AcceptedMessage:
    message = sandbox.ledger.by_id.get(message_id)
    if message is None:
        raise HttpError(404, {"error": f"no message {message_id}"})
    return message


def _text(document: JsonObject, name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise HttpError(400, {"error": f"{name} must be a string"})
    return value
