"""What answers in place of a route while the database is away: 503, and when to come back."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from core.database.errors import is_unavailable
from core.telemetry import logger

AWAY: Final = 503
RETRY_AFTER: Final = {"retry-after": "30"}
Endpoint = Callable[[Request], Awaitable[Response]]
log = logger(__name__)


def unless_away(endpoint: Endpoint, away: Callable[[], Response]) -> Endpoint:
    """The endpoint, answering with `away` when the database cannot be reached; logged in one line, without the path.

    The path may hold a recipient's token. Any other error stays one.
    """

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning(
                "not answered, as the database is away", route=request.scope["route"].path, error=type(error).__name__
            )
        return away()

    return guarded
