"""Postmark: `/email`, `/email/batch` and the search of outbound messages."""

from starlette.routing import Route

from sandbox.postmark.searching import details, search
from sandbox.postmark.sending import send_batch, send_single

routes = [
    Route("/email", send_single, methods=["POST"]),
    Route("/email/batch", send_batch, methods=["POST"]),
    Route("/messages/outbound", search, methods=["GET"]),
    Route("/messages/outbound/{message_id}/details", details, methods=["GET"]),
]

__all__ = ["routes"]
