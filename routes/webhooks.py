"""Vendors' webhooks: checked, stored, answered; applied later by a job."""

import json
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.http.bodies import BodyTooLarge, ClientDisconnected, read_body
from integrations.mail_events import MailWebhooks, WebhookUnreadable
from routes.outages import AWAY, RETRY_AFTER, unless_away
from runtime import Runtime
from services.webhooks.cleaning import TooDeep
from services.webhooks.receiving import receive

LIMIT = 1_048_576


class NotJson(ValueError):
    """The body is no JSON, or nested too deeply to be read."""


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`POST /webhooks/<provider>` for every mail provider that there is an adapter for."""
    return [route(runtime, webhooks) for webhooks in runtime.webhooks.values()]


def route(runtime: Runtime, webhooks: MailWebhooks) -> BaseRoute:
    """The route of a mail provider's webhooks."""

    async def deliver(request: Request) -> Response:
        if not webhooks.admits(request.headers):
            return unauthorized(webhooks)
        try:
            body = await read_body(request.receive, request.headers.get("content-length"), LIMIT)
            if not webhooks.signs(request.headers, body):
                return unauthorized(webhooks)
            await receive(runtime.work, webhooks, webhooks.events_in(parsed(body)))
        except BodyTooLarge:
            return refuse(413, f"The body is larger than {LIMIT} bytes.")
        except (ClientDisconnected, NotJson, WebhookUnreadable, TooDeep) as error:
            return refuse(400, str(error))
        return JSONResponse({"received": True})

    return Route(f"/webhooks/{webhooks.provider}", unless_away(deliver, away), methods=["POST"])


def unauthorized(webhooks: MailWebhooks) -> Response:
    """The refusal of a request that does not prove where it comes from; never 403, at which some stop for good."""
    return refuse(401, webhooks.refusal, webhooks.challenge)


def away() -> Response:
    """The answer while the database is away: the vendor sends the event again."""
    return refuse(AWAY, "The event cannot be stored at the moment. Please send it again.", RETRY_AFTER)


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal that says why; nothing was stored."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


def parsed(body: bytes) -> object:
    """The JSON of a body; raises `NotJson`.

    What the strict parser refuses and JSON's grammar allows is read all the same: half a surrogate pair, numbers
    without bounds.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise NotJson("The body is not JSON.") from None
    return document
