"""`POST /graphql` and `GET /graphql`, as the GraphQL over HTTP specification says."""

from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from cancellation.deadlines import deadline
from core.configuration import Environment
from core.database.errors import is_unavailable
from core.http.bodies import BodyTooLarge, ClientDisconnected, content_length, read_body
from core.telemetry import describe_error, logger, new_request_id
from resolvers.context import Dependencies, RequestContext
from transport.authentication import authenticate
from transport.errors import (
    AWAY,
    AWAY_SECONDS,
    AWAY_STATUS,
    INTERNAL,
    MASK,
    PERSISTED_QUERY_NOT_SUPPORTED,
    Refused,
)
from transport.executor import Answer, Executor, Request, refusal
from transport.http.graphiql import page
from transport.http.negotiation import GRAPHQL, HTML, JSON, chosen, is_json
from transport.http.responses import written
from transport.requests import (
    come_already,
    from_body,
    from_query_string,
    oversized,
    whole_body,
)

log = logger(__name__)
METHOD_NOT_ALLOWED = 405
CONTENT_TYPES = {media_type: f"{media_type}; charset=utf-8".encode() for media_type in (GRAPHQL, JSON)}
SAID_IN_JSON_TOO = frozenset({METHOD_NOT_ALLOWED, AWAY_STATUS})
UNREAD = frozenset({408, 413})  # what is left of the body is not waited for


class HttpEndpoint:
    """The ASGI application behind `/graphql` for HTTP."""

    def __init__(self, dependencies: Dependencies, executor: Executor) -> None:
        settings = executor.settings
        self.identity = dependencies.identity
        self.dependencies = dependencies
        self.executor = executor
        self.body_limit = settings.api.body_limit_bytes
        self.body_timeout = settings.api.body_timeout_seconds
        self.graphiql = settings.graphql.graphiql
        self.demo = settings.environment is Environment.DEVELOPMENT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; whatever fails is answered, masked and logged."""
        request_id = new_request_id()
        headers = dict(scope["headers"])
        browser = scope["method"] == "GET" and self.graphiql
        media_type = chosen(text(headers.get(b"accept")), html=browser)
        try:
            if media_type == HTML:
                await page(send, request_id, text(headers.get(b"host")) or "", demo=self.demo)
                return
            request = await self.request(scope, receive, headers, media_type)
            context = await self.context(scope, headers, request_id)
            answer = await self.executor.run(request, context, mutations=scope["method"] == "POST")
            if media_type == JSON and answer.status not in SAID_IN_JSON_TOO:
                # In this media type the status says only that the request was well-formed.
                answer = Answer(body=answer.body, retry_after=answer.retry_after)
            body = encoded(answer)
        except ClientDisconnected:
            return
        except Refused as refused:
            # Some clients look for this one word in successful answers alone, as Apollo's server gives it.
            plain = media_type == JSON and refused.code == PERSISTED_QUERY_NOT_SUPPORTED
            status = 200 if plain else refused.status
            answer = refusal([refused.formatted(request_id)], status, refused.retry_after)
            body = encoded(answer)
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            answer = failure(error, request_id)
            body = encoded(answer)
        await respond(send, answer, body, media_type or JSON, request_id)

    async def request(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], media_type: str | None
    ) -> Request:
        """The GraphQL request; raises `Refused` or `ClientDisconnected`."""
        if media_type is None:
            raise Refused(f"Answers come as {GRAPHQL} or {JSON}: accept one of them.", status=406)
        if scope["method"] == "GET":
            return from_query_string(scope["query_string"])
        if scope["method"] != "POST":
            raise Refused("Use POST, or GET for queries.", status=METHOD_NOT_ALLOWED)
        if not is_json(text(headers.get(b"content-type"))):
            raise Refused("The body must be `Content-Type: application/json` in UTF-8.", status=415)
        if b"expect" in headers and content_length(text(headers.get(b"content-length"))) > self.body_limit:
            raise oversized(self.body_limit)  # a client that waits for our word is told to go on by `receive`
        come = come_already(receive)
        body = whole_body(come, self.body_limit)
        return from_body(await self.slow_body(receive, headers, come) if body is None else body)

    async def slow_body(self, receive: Receive, headers: dict[bytes, bytes], come: Message | None) -> bytes:
        """A body that comes in parts, or late; raises `Refused` or `ClientDisconnected`."""
        try:
            async with deadline(self.body_timeout):
                return await read_body(
                    receive, text(headers.get(b"content-length")), self.body_limit, first_message=come
                )
        except BodyTooLarge:
            raise oversized(self.body_limit) from None
        except TimeoutError:
            raise Refused(f"The body did not come within {self.body_timeout:g} seconds.", status=408) from None

    async def context(self, scope: Scope, headers: dict[bytes, bytes], request_id: str) -> RequestContext:
        """What resolvers see of the request."""
        session, refused = await authenticate(self.identity, text(headers.get(b"authorization")))
        return RequestContext(
            dependencies=self.dependencies,
            actor=session.actor if session else None,
            session=session,
            refused=refused,
            request_id=request_id,
            client_address=client_address(scope),
            budgets=self.executor.budgets,
        )


def text(value: bytes | None) -> str | None:
    """A header's value."""
    return value.decode("latin-1") if value is not None else None


def client_address(scope: Scope) -> str:
    """The client's address, as the server knows it (it reads proxy headers from trusted proxies alone)."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def encoded(answer: Answer) -> bytes:
    """An answer as JSON; raises `TypeError` for a value that JSON can't hold, such as an integer over 64 bits."""
    return orjson.dumps(answer.body, default=plain)


def failure(error: Exception, request_id: str) -> Answer:
    """The masked answer to what failed outside of any field; logged."""
    if is_unavailable(error):
        log.warning("a request failed, as something is away", request_id=request_id, error=describe_error(error))
        shown = Refused(AWAY, code=INTERNAL, status=AWAY_STATUS, retry_after=AWAY_SECONDS)
    else:
        log.error("a request failed", request_id=request_id, exc_info=error)
        shown = Refused(MASK, code=INTERNAL, status=500)
    return refusal([shown.formatted(request_id)], shown.status, shown.retry_after)


async def respond(send: Send, answer: Answer, body: bytes, media_type: str, request_id: str) -> None:
    """Send an answer whose JSON is `body`."""
    headers = [
        (b"content-type", CONTENT_TYPES[media_type]),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
    ]
    if answer.retry_after:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    if answer.status == METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"GET, POST"))
    if answer.status in UNREAD:
        headers.append((b"connection", b"close"))
    elif written(send, answer.status, headers, body):
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def plain(value: Any) -> str:  # noqa: ANN401 - whatever orjson does not know
    """A value inside a JSON scalar that JSON has no form for."""
    return str(value)
