"""Liveness, readiness, and the public key of our access tokens."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from core.readiness import readiness
from runtime import Runtime


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`/healthz`, `/readyz` and `/.well-known/jwks.json`."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        state = await readiness(runtime.engine, runtime.cache, runtime.supervisors)
        report = {
            "ready": state.failure is None,
            "problem": state.failure,
            "degraded": state.degradation,
            "features_off": sorted(runtime.features.off),
        }
        return JSONResponse(report, status_code=503 if state.failure else 200)

    async def jwks(_: Request) -> Response:
        return JSONResponse(runtime.tokens.jwks, headers={"cache-control": "public, max-age=300"})

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/.well-known/jwks.json", jwks),
    ]
