from dataclasses import dataclass

from starlette.requests import Request

from sandbox.calls import Calls
from sandbox.config import SandboxConfig
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.webhooks import WebhookScheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The configuration and the state of a running sandbox."""

    config: SandboxConfig
    ledger: Ledger
    faults: Faults
    webhooks: WebhookScheduler
    calls: Calls


def sandbox_of(request: Request) -> Sandbox:
    """The sandbox that serves this request."""
    sandbox = request.app.state.sandbox
    if not isinstance(sandbox, Sandbox):
        raise TypeError("the application has no sandbox")
    return sandbox
