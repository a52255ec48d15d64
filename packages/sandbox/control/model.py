from starlette.requests import Request
from starlette.responses import Response

from sandbox.state import sandbox_of
from sandbox.wire import reply


async def requests(request: Request) -> Response:
    """The latest chat completion requests, newest last, with how each ended."""
    return reply({"requests": sandbox_of(request).calls.show()})
