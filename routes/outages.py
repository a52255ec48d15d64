"""Responses of routes while the database is unavailable: 503 with Retry-After."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from core.database.errors import is_unavailable
from core.telemetry import logger

SERVICE_UNAVAILABLE: Final = 503
RETRY_AFTER: Final = {"retry-after": "30"}
_Endpoint = Callable[[Request], Awaitable[Response]]
log = logger(__name__)


def handle_outage(endpoint: _Endpoint, unavailable: Callable[[], Response]) -> _Endpoint:
    """The endpoint, with the response of `unavailable` when the database cannot be reached. Other errors are raised.

    The log has the route, and not the path, which may have a recipient's token.
    """

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning(
                "database unavailable, answered 503", route=request.scope["route"].path, error=type(error).__name__
            )
        return unavailable()

    return guarded
