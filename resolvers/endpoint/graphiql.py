"""GraphiQL, for people."""

from starlette.types import Send


async def page(send: Send, request_id: str) -> None:
    """The page."""
    body = b"<!doctype html><title>NudgeCampaign API</title>"
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/html; charset=utf-8"), (b"x-request-id", request_id.encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})
