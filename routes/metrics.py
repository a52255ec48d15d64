"""The metrics of this process, in the format of Prometheus."""

from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from core.security import equal_secrets
from runtime import Runtime

_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
_NO_STORE = {"cache-control": "no-store"}
_CHALLENGE = {"www-authenticate": 'Bearer realm="metrics"'}


def routes(runtime: Runtime, registry: CollectorRegistry) -> list[BaseRoute]:
    """`GET /metrics`, with the bearer token of the settings; in production 404 if none is set."""
    token = runtime.settings.metrics.token

    async def metrics(request: Request) -> Response:
        if token is None and runtime.settings.production:
            return PlainTextResponse("Not Found", status_code=404, headers=_NO_STORE)
        if token is not None and not _has_token(request, token):
            return PlainTextResponse("Wrong token.\n", status_code=401, headers=_NO_STORE | _CHALLENGE)
        return Response(generate_latest(registry), media_type=_FORMAT, headers=_NO_STORE)

    return [Route("/metrics", metrics)]


def _has_token(request: Request, token: SecretStr) -> bool:
    """Whether the request carries the bearer token, compared in constant time."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and equal_secrets(credentials.strip(), token.get_secret_value())
