"""Reading a GraphQL request: its body or query string over HTTP, its parameters over any transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import CoroutineType
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import Message, Receive

from transport.errors import PERSISTED_QUERY_NOT_SUPPORTED, MalformedRequest, RequestRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """A well-formed GraphQL request."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None = None


def receive_nowait(receive: Receive) -> Message | None:
    """The next ASGI message if the server has already buffered it (as it usually has for a small body), else None.

    When the result is None, nothing was consumed: `receive` can be awaited as usual.
    """
    coroutine = receive()
    if type(coroutine) is not CoroutineType:
        return None
    try:
        coroutine.send(None)
    except StopIteration as stop:
        message: Message = stop.value
        return message
    coroutine.close()
    return None


def complete_body(message: Message | None, max_bytes: int) -> bytes | None:
    """The body, when this one message contains all of it and it is within the limit; otherwise None."""
    if message is None or message["type"] != "http.request" or message.get("more_body", False):
        return None
    body: bytes = message.get("body", b"")
    return body if len(body) <= max_bytes else None


def body_too_large(max_bytes: int) -> RequestRefused:
    """The error for a body over the limit."""
    return RequestRefused(f"The request body is larger than {max_bytes} bytes.", status=413)


def from_body(body: bytes) -> GraphQLRequest:
    """The request in a JSON body; raises `RequestRefused`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestRefused(f"The request body is not valid JSON: {error}.") from None
    if isinstance(document, list):
        raise RequestRefused("Batched requests are not supported: send one operation in each request.")
    if not isinstance(document, dict):
        raise RequestRefused("The request body must be a JSON object with a `query`.")
    return from_parameters(document)


def from_query_string(raw: bytes) -> GraphQLRequest:
    """The request of a GET; raises `RequestRefused`."""
    try:
        parsed = parse_qs(raw.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise RequestRefused("The query string cannot be read.") from None
    parameters: dict[str, Any] = {name: values[-1] for name, values in parsed.items()}
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                parameters[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError as error:
                raise RequestRefused(f"`{name}` is not valid JSON: {error}.") from None
        else:
            parameters.pop(name, None)
    return from_parameters(parameters)


def from_parameters(parameters: Mapping[str, object]) -> GraphQLRequest:
    """The request with these parameters, of any transport; raises `RequestRefused`.

    Null counts as omitted, and an empty `operationName` as none. Raises `MalformedRequest` where a parameter has the
    wrong type.
    """
    query = parameters.get("query")
    variables = parameters.get("variables")
    operation_name = parameters.get("operationName")
    extensions = parameters.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise MalformedRequest("`extensions` must be an object.")
    if query is None and extensions and extensions.get("persistedQuery") is not None:
        # On this message, clients of automatic persisted queries send the document itself from then on.
        raise RequestRefused("PersistedQueryNotSupported", code=PERSISTED_QUERY_NOT_SUPPORTED)
    if not isinstance(query, str):
        raise MalformedRequest("`query` must be a GraphQL document.")
    if not query.strip():
        raise RequestRefused("`query` must be a GraphQL document.")
    if variables is not None and not isinstance(variables, dict):
        raise MalformedRequest("`variables` must be an object.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedRequest("`operationName` must be a string.")
    return GraphQLRequest(query=query, variables=variables or {}, operation_name=operation_name or None)
