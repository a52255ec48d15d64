from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sandbox import control, openrouter, postmark
from sandbox.calls import Calls
from sandbox.config import SandboxConfig
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.state import Sandbox
from sandbox.webhooks import WebhookScheduler
from sandbox.wire import HttpError, reply


def build(config: SandboxConfig) -> Starlette:
    """All vendors on one port. Serve it with one process: its state is in memory."""
    ledger, faults = Ledger(config.ledger_path), Faults(config.seed)
    webhooks = WebhookScheduler(config, ledger, faults)
    sandbox = Sandbox(config=config, ledger=ledger, faults=faults, webhooks=webhooks, calls=Calls())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        ledger.open()
        try:
            async with webhooks.running():
                yield
        finally:
            ledger.close()

    app = Starlette(
        routes=[*postmark.routes, *openrouter.routes, *control.routes],
        lifespan=lifespan,
        exception_handlers={HttpError: _error_response, ClientDisconnect: _disconnected},
    )
    app.state.sandbox = sandbox
    return app


async def _error_response(_: Request, error: Exception) -> Response:
    if not isinstance(error, HttpError):
        raise error
    return reply(error.body, error.status, error.headers)


async def _disconnected(_: Request, __: Exception) -> Response:
    """The client has disconnected, so this response is not read."""
    return Response(status_code=400)
