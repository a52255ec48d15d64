"""Reading a GraphQL request: its bytes from HTTP, within the limits; its parameters from any transport."""

from collections.abc import Mapping
from types import CoroutineType
from typing import Any
from urllib.parse import parse_qs

import orjson
from starlette.types import Message, Receive

from transport.errors import PERSISTED_QUERY_NOT_SUPPORTED, Malformed, Refused
from transport.executor import Request


def come_already(receive: Receive) -> Message | None:
    """The next message where the server has it, as it mostly has of a small request; None where it must be awaited.

    Waiting that is given up before anything came has taken nothing.
    """
    waiting = receive()
    if type(waiting) is not CoroutineType:
        return None
    try:
        waiting.send(None)
    except StopIteration as come:
        message: Message = come.value
        return message
    waiting.close()
    return None


def whole_body(message: Message | None, most: int) -> bytes | None:
    """The body that a message has all of, within the limit; None for any other."""
    if message is None or message["type"] != "http.request" or message.get("more_body", False):
        return None
    body: bytes = message.get("body", b"")
    return body if len(body) <= most else None


def oversized(most: int) -> Refused:
    """The refusal of a body over the limit."""
    return Refused(f"The request body is larger than {most} bytes.", status=413)


def from_body(body: bytes) -> Request:
    """The request of a JSON body; raises `Refused`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"The request body is not valid JSON: {error}.") from None
    if isinstance(document, list):
        raise Refused("Batched requests are not supported: send one operation in each request.")
    if not isinstance(document, dict):
        raise Refused("The request body must be a JSON object with a `query`.")
    return from_parameters(document)


def from_query_string(raw: bytes) -> Request:
    """The request of a GET; raises `Refused`."""
    try:
        found = parse_qs(raw.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise Refused("The query string cannot be read.") from None
    parameters: dict[str, Any] = {name: values[-1] for name, values in found.items()}
    for name in ("variables", "extensions"):
        if parameters.get(name):
            try:
                parameters[name] = orjson.loads(parameters[name])
            except orjson.JSONDecodeError as error:
                raise Refused(f"`{name}` is not valid JSON: {error}.") from None
        else:
            parameters.pop(name, None)
    return from_parameters(parameters)


def from_parameters(parameters: Mapping[str, object]) -> Request:
    """The request of its parameters, by whatever transport they came; raises `Refused`.

    Null stands for left out, and an empty `operationName` for none. `Malformed` where a parameter has the wrong type.
    """
    query = parameters.get("query")
    variables = parameters.get("variables")
    operation_name = parameters.get("operationName")
    extensions = parameters.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise Malformed("`extensions` must be an object.")
    if query is None and extensions and extensions.get("persistedQuery") is not None:
        # The words on which clients of automatic persisted queries send the document itself, and go on doing so.
        raise Refused("PersistedQueryNotSupported", code=PERSISTED_QUERY_NOT_SUPPORTED)
    if not isinstance(query, str):
        raise Malformed("`query` must be a GraphQL document.")
    if not query.strip():
        raise Refused("`query` must be a GraphQL document.")
    if variables is not None and not isinstance(variables, dict):
        raise Malformed("`variables` must be an object.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise Malformed("`operationName` must be a string.")
    return Request(query=query, variables=variables or {}, operation_name=operation_name or None)
