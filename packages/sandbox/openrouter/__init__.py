"""OpenRouter: chat completions (streamed or not) and the list of models."""

from starlette.routing import Route

from sandbox.openrouter.completions import complete, models

routes = [
    Route("/api/v1/chat/completions", complete, methods=["POST"]),
    Route("/api/v1/models", models, methods=["GET"]),
]

__all__ = ["routes"]
