"""Door 2, plain HTTP."""

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from routes import health, metrics, senders, unsubscribe, webhooks
from runtime import Runtime


def all_routes(runtime: Runtime, registry: CollectorRegistry) -> list[BaseRoute]:
    """Every route beside GraphQL; each noun's module has a `routes(runtime)` that is added here."""
    return [
        *health.routes(runtime),
        *metrics.routes(runtime, registry),
        *webhooks.routes(runtime),
        *unsubscribe.routes(runtime),
        *senders.routes(runtime),
    ]
