"""HTTP answers in one write: all that we take for granted of uvicorn's protocol for them.

Uvicorn writes the head of an answer and its body by themselves: two calls of the kernel, each of which wakes the
client. Where uvicorn serves by another protocol, or anything stands in between, answers go the usual way.
`tests/graphql/test_answers.py` fails when uvicorn is no longer as here.
"""

import logging
from collections.abc import Iterable

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]


def written(send: Send, status: int, headers: Iterable[Header], body: bytes) -> bool:
    """Write a whole answer at once. False when it has to go the usual way: then nothing was written.

    The headers are ours and are taken as they are; `content-length` has to be among them, `connection` must not.
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
