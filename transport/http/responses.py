"""HTTP responses in one write. This module is the only one that uses uvicorn's private HTTP protocol.

Uvicorn writes the head and the body of a response in two system calls, and the client may read after each. Where
uvicorn uses another protocol class, or middleware wraps `send`, responses are sent by ASGI messages as usual.
`tests/graphql/test_answers.py` fails when uvicorn's protocol changes.
"""

import logging
from collections.abc import Iterable

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]


def write_response(send: Send, status: int, headers: Iterable[Header], body: bytes) -> bool:
    """Write a whole response at once. Returns False, with nothing written, when it must be sent by ASGI messages.

    The headers are not checked: they must include `content-length` and must not include `connection`.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle:
        return False
    logged = cycle.access_log and cycle.access_logger.isEnabledFor(logging.INFO)
    if logged or not cycle.keep_alive or cycle.scope["method"] == "HEAD":
        return False
    if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
        return False
    parts = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(parts))
    cycle.message_event.set()
    cycle.on_response()
    return True
