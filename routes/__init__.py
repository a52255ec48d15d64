"""Plain HTTP: health, metrics, vendors' webhooks, and the pages behind links in e-mail."""

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from routes import health, metrics, senders, unsubscribe, webhooks
from runtime import Runtime


def all_routes(runtime: Runtime, registry: CollectorRegistry) -> list[BaseRoute]:
    """Every route except GraphQL; each module has a `routes(runtime)` that is added here."""
    return [
        *health.routes(runtime),
        *metrics.routes(runtime, registry),
        *webhooks.routes(runtime),
        *unsubscribe.routes(runtime),
        *senders.routes(runtime),
    ]
