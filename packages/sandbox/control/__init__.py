"""The control plane under `/sandbox/`: accepted messages, fault switches and webhooks."""

from starlette.routing import Route

from sandbox.control import ledger, model, pages, switches, webhooks

routes = [
    Route("/", pages.index, methods=["GET"]),
    Route("/sandbox/ledger", ledger.Entries),
    Route("/sandbox/ledger/summary", ledger.summary, methods=["GET"]),
    Route("/sandbox/messages/{message_id}", pages.message, methods=["GET"]),
    Route("/sandbox/messages/{message_id}/html", pages.message_html, methods=["GET"]),
    Route("/sandbox/suppressions", ledger.Suppressions),
    Route("/sandbox/faults", switches.Switches),
    Route("/sandbox/webhooks", webhooks.Hooks),
    Route("/sandbox/llm/requests", model.requests, methods=["GET"]),
]

__all__ = ["routes"]
