"""Vendors' webhooks: checked, stored, answered; applied later by a job."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from core.security import same
from core.settings import PostmarkSettings
from routes.bodies import BodyTooLarge, NotJson, parsed, read_body
from routes.outages import AWAY, RETRY_AFTER, unless_away
from runtime import Runtime
from services.deliveries.cleaning import TooDeep
from services.deliveries.webhooks import receive

LIMIT = 1_048_576


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`POST /webhooks/postmark`."""

    async def postmark(request: Request) -> Response:
        if not is_postmark(request, runtime.settings.postmark):
            # Never 403: Postmark would stop for good.
            return refuse(401, "Wrong user name or password.", {"www-authenticate": 'Basic realm="webhooks"'})
        try:
            event = parsed(await read_body(request, LIMIT))
        except BodyTooLarge:
            return refuse(413, f"The body is larger than {LIMIT} bytes.")
        except NotJson:
            return refuse(400, "The body is not JSON.")
        if not isinstance(event, dict):
            return refuse(400, "The body must be one JSON object, one event.")
        try:
            await receive(runtime.work, event, stream=runtime.settings.postmark.message_stream)
        except TooDeep as error:
            return refuse(400, str(error))
        return JSONResponse({"received": True})

    return [Route("/webhooks/postmark", unless_away(postmark, away), methods=["POST"])]


def away() -> Response:
    """The answer while the database is away: the vendor sends the event again."""
    return refuse(AWAY, "The event cannot be stored at the moment. Please send it again.", RETRY_AFTER)


def is_postmark(request: Request, settings: PostmarkSettings) -> bool:
    """Whether the request carries the webhook's HTTP Basic credentials, compared in constant time."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        username, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, ValueError):
        return False
    if scheme.lower() != "basic" or settings.webhook_password is None:
        return False
    known = same(username, settings.webhook_username)
    return same(password, settings.webhook_password.get_secret_value()) and known


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal that says why; nothing was stored."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)
