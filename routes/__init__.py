"""Door 2, plain HTTP."""

from starlette.routing import BaseRoute

from routes import health, unsubscribe, webhooks
from services.runtime import Runtime


def all_routes(runtime: Runtime) -> list[BaseRoute]:
    """Every route beside GraphQL; each noun's module has a `routes(runtime)` that is added here."""
    return [*health.routes(runtime), *webhooks.routes(runtime), *unsubscribe.routes(runtime)]
