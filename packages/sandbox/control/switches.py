from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from sandbox.state import sandbox_of
from sandbox.wire import read_object, reply


class Switches(HTTPEndpoint):
    """`/sandbox/faults`."""

    async def get(self, request: Request) -> Response:
        """The active faults, with their remaining counts and how often each occurred."""
        return reply(sandbox_of(request).faults.show())

    async def put(self, request: Request) -> Response:
        """Replace the sections in the document."""
        faults = sandbox_of(request).faults
        faults.replace(await read_object(request))
        return reply(faults.show())

    async def delete(self, request: Request) -> Response:
        """Switch everything off."""
        sandbox_of(request).faults.clear()
        return Response(status_code=204)
