"""`POST /graphql` and `GET /graphql`, as specified by GraphQL over HTTP."""

import time
from typing import Any

import orjson
from starlette.types import Message, Receive, Scope, Send

from cancellation.deadlines import deadline
from core.configuration import Environment
from core.database.errors import is_unavailable
from core.http.bodies import BodyTooLarge, ClientDisconnected, content_length, read_body
from core.telemetry import describe_error, logger, new_request_id
from resolvers.budgets import MINUTE_SECONDS, Balance
from resolvers.context import Dependencies, RequestContext
from transport.authentication import authenticate
from transport.errors import (
    INTERNAL,
    INTERNAL_MESSAGE,
    PERSISTED_QUERY_NOT_SUPPORTED,
    UNAVAILABLE_MESSAGE,
    UNAVAILABLE_RETRY_SECONDS,
    UNAVAILABLE_STATUS,
    RequestRefused,
)
from transport.executor import Executor, GraphQLResponse, error_response
from transport.http.clients import ClientCounts
from transport.http.graphiql import send_page
from transport.http.negotiation import GRAPHQL, HTML, JSON, is_json, negotiate
from transport.http.responses import Header, write_response
from transport.requests import (
    GraphQLRequest,
    body_too_large,
    complete_body,
    from_body,
    from_query_string,
    receive_nowait,
)

log = logger(__name__)
METHOD_NOT_ALLOWED = 405
CONTENT_TYPES = {media_type: f"{media_type}; charset=utf-8".encode() for media_type in (GRAPHQL, JSON)}
JSON_ERROR_STATUSES = frozenset({METHOD_NOT_ALLOWED, UNAVAILABLE_STATUS})
"""The statuses other than 200 that responses of `application/json` have too."""
UNREAD_BODY_STATUSES = frozenset({408, 413})
"""Here the rest of the body is not read, so the connection is closed."""


class HttpEndpoint:
    """The ASGI application behind `/graphql` for HTTP."""

    def __init__(self, dependencies: Dependencies, executor: Executor) -> None:
        settings = executor.settings
        self.identity = dependencies.identity
        self.dependencies = dependencies
        self.executor = executor
        self.body_limit = settings.api.body_limit_bytes
        self.body_timeout = settings.api.body_timeout_seconds
        self.clients = ClientCounts()
        self.rate_limit_policy = _rate_limit_policy(executor.budgets.limit)
        self.graphiql = settings.graphql.graphiql
        self.demo = settings.environment is Environment.DEVELOPMENT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an unexpected error is masked in the response and logged."""
        request_id = new_request_id()
        headers = dict(scope["headers"])
        browser = scope["method"] == "GET" and self.graphiql
        media_type = negotiate(_text(headers.get(b"accept")), html=browser)
        try:
            if media_type == HTML:
                await send_page(send, request_id, _text(headers.get(b"host")) or "", demo=self.demo)
                return
            request = await self._read_request(scope, receive, headers, media_type)
            context = await self._context(scope, headers, request_id)
            self.clients.count(headers, context.budget_key if context.actor else None)
            response = await self.executor.run(request, context, mutations=scope["method"] == "POST")
            if media_type == JSON and response.status not in JSON_ERROR_STATUSES:
                # With this media type, 200 means only that the request was well-formed.
                response = GraphQLResponse(
                    body=response.body, retry_after=response.retry_after, balance=response.balance
                )
            body = _encode(response)
        except ClientDisconnected:
            return
        except RequestRefused as refusal:
            # Some clients look for this error in 200 responses alone, as Apollo Server sends it.
            not_supported = media_type == JSON and refusal.code == PERSISTED_QUERY_NOT_SUPPORTED
            status = 200 if not_supported else refusal.status
            response = error_response([refusal.to_dict(request_id)], status, refusal.retry_after)
            body = _encode(response)
        except Exception as error:  # noqa: BLE001 - masked, and logged with its request id
            response = _internal_error(error, request_id)
            body = _encode(response)
        extra_headers: list[Header] = [(b"x-request-id", request_id.encode())]
        if response.balance is not None:
            extra_headers += (self.rate_limit_policy, _rate_limit(response.balance))
        await _send_response(send, response, body, media_type or JSON, extra_headers)

    async def _read_request(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], media_type: str | None
    ) -> GraphQLRequest:
        """The GraphQL request; raises `RequestRefused` or `ClientDisconnected`."""
        if media_type is None:
            raise RequestRefused(f"Responses are {GRAPHQL} or {JSON}: accept one of them.", status=406)
        if scope["method"] == "GET":
            return from_query_string(scope["query_string"])
        if scope["method"] != "POST":
            raise RequestRefused("Use POST, or GET for queries.", status=METHOD_NOT_ALLOWED)
        if not is_json(_text(headers.get(b"content-type"))):
            raise RequestRefused("The body must be `Content-Type: application/json` in UTF-8.", status=415)
        if b"expect" in headers and content_length(_text(headers.get(b"content-length"))) > self.body_limit:
            raise body_too_large(self.body_limit)  # before `receive`, which would send 100 Continue
        message = receive_nowait(receive)
        body = complete_body(message, self.body_limit)
        return from_body(await self._read_body(receive, headers, message) if body is None else body)

    async def _read_body(self, receive: Receive, headers: dict[bytes, bytes], first: Message | None) -> bytes:
        """A body in several messages, or one not yet received; raises `RequestRefused` or `ClientDisconnected`."""
        try:
            async with deadline(self.body_timeout):
                return await read_body(
                    receive, _text(headers.get(b"content-length")), self.body_limit, first_message=first
                )
        except BodyTooLarge:
            raise body_too_large(self.body_limit) from None
        except TimeoutError:
            raise RequestRefused(
                f"The body did not arrive within {self.body_timeout:g} seconds.", status=408
            ) from None

    async def _context(self, scope: Scope, headers: dict[bytes, bytes], request_id: str) -> RequestContext:
        """The context that resolvers get for the request."""
        session, error = await authenticate(self.identity, _text(headers.get(b"authorization")))
        return RequestContext(
            dependencies=self.dependencies,
            actor=session.actor if session else None,
            session=session,
            authentication_error=error,
            request_id=request_id,
            client_address=client_address(scope),
            budgets=self.executor.budgets,
        )


def _text(value: bytes | None) -> str | None:
    """A header's value."""
    return value.decode("latin-1") if value is not None else None


def client_address(scope: Scope) -> str:
    """The client's IP address, "" when unknown. Uvicorn reads proxy headers, from trusted proxies alone."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _encode(response: GraphQLResponse) -> bytes:
    """A response as JSON; raises `TypeError` for what JSON can't represent, such as an integer over 64 bits."""
    return orjson.dumps(response.body, default=json_default)


def _internal_error(error: Exception, request_id: str) -> GraphQLResponse:
    """The masked response to an error outside any field; logs the error."""
    if is_unavailable(error):
        log.warning("a request failed: a service is unavailable", request_id=request_id, error=describe_error(error))
        refusal = RequestRefused(
            UNAVAILABLE_MESSAGE, code=INTERNAL, status=UNAVAILABLE_STATUS, retry_after=UNAVAILABLE_RETRY_SECONDS
        )
    else:
        log.error("a request failed", request_id=request_id, exc_info=error)
        refusal = RequestRefused(INTERNAL_MESSAGE, code=INTERNAL, status=500)
    return error_response([refusal.to_dict(request_id)], refusal.status, refusal.retry_after)


def _rate_limit_policy(limit: int) -> Header:
    """The header with the budget of a minute, in the format of draft-ietf-httpapi-ratelimit-headers-10.

    The unit of `q`, and of `r` in `RateLimit`, is a cost point. The draft's registry of units (`qu`) has no such
    unit, but allows vendor parameters with a prefix.
    """
    return b"ratelimit-policy", b'"cost";q=%d;w=%d;nudge-unit="points"' % (limit, MINUTE_SECONDS)


def _rate_limit(balance: Balance) -> Header:
    """The header with the remaining budget, the same as in `extensions.cost`, and the seconds until it is reset."""
    seconds = balance.ends_at - int(time.time())
    return b"ratelimit", b'"cost";r=%d;t=%d' % (balance.remaining, max(0, seconds))


async def _send_response(
    send: Send, response: GraphQLResponse, body: bytes, media_type: str, extra_headers: list[Header]
) -> None:
    """Send a response whose JSON is `body`, with these headers in addition to those of every response."""
    headers = [
        (b"content-type", CONTENT_TYPES[media_type]),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *extra_headers,
    ]
    if response.retry_after:
        headers.append((b"retry-after", str(response.retry_after).encode()))
    if response.status == METHOD_NOT_ALLOWED:
        headers.append((b"allow", b"GET, POST"))
    if response.status in UNREAD_BODY_STATUSES:
        headers.append((b"connection", b"close"))
    elif write_response(send, response.status, headers, body):
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def json_default(value: Any) -> str:  # noqa: ANN401 - whatever orjson does not serialize
    """Serialize a value inside the JSON scalar that JSON has no form for."""
    return str(value)
