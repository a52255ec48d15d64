"""Vendors' webhooks: requests are authenticated, stored and answered; a job applies them later."""

import json
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.http.bodies import BodyTooLarge, ClientDisconnected, read_body
from integrations.mail_events import MailWebhooks, WebhookUnreadable
from routes.outages import RETRY_AFTER, SERVICE_UNAVAILABLE, handle_outage
from runtime import Runtime
from services.webhooks.cleaning import TooDeep
from services.webhooks.receiving import receive

_MAX_BODY_BYTES = 1_048_576


class NotJson(ValueError):
    """The body is not JSON, or nested too deeply to be parsed."""


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`POST /webhooks/<provider>` for every mail provider with an adapter."""
    return [route(runtime, webhooks) for webhooks in runtime.webhooks.values()]


def route(runtime: Runtime, webhooks: MailWebhooks) -> BaseRoute:
    """The route of a mail provider's webhooks."""

    async def deliver(request: Request) -> Response:
        if not webhooks.has_credentials(request.headers):
            return _unauthorized(webhooks)
        try:
            body = await read_body(request.receive, request.headers.get("content-length"), _MAX_BODY_BYTES)
            if not webhooks.has_signature(request.headers, body):
                return _unauthorized(webhooks)
            await receive(runtime.work, webhooks, webhooks.events_of(_parse_json(body)))
        except BodyTooLarge:
            return refuse(413, f"The body is larger than {_MAX_BODY_BYTES} bytes.")
        except (ClientDisconnected, NotJson, WebhookUnreadable, TooDeep) as error:
            return refuse(400, str(error))
        return JSONResponse({"received": True})

    return Route(f"/webhooks/{webhooks.provider}", handle_outage(deliver, unavailable), methods=["POST"])


def _unauthorized(webhooks: MailWebhooks) -> Response:
    """The refusal of a request without valid credentials; never 403, after which some providers stop sending."""
    return refuse(401, webhooks.unauthorized_message, webhooks.challenge_headers)


def unavailable() -> Response:
    """The answer while the database is unavailable, after which the vendor sends the event again."""
    return refuse(SERVICE_UNAVAILABLE, "The event cannot be stored at the moment. Please send it again.", RETRY_AFTER)


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal with its reason; nothing was stored."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


def _parse_json(body: bytes) -> object:
    """The JSON of a body; raises `NotJson`.

    It accepts what JSON's grammar allows and the strict parser refuses: lone surrogates, and numbers of any size.
    """
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise NotJson("The body is not JSON.") from None
    return document
