from dataclasses import asdict
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sandbox.faults import KNOWN
from sandbox.state import sandbox_of
from sandbox.wire import HttpError, JsonObject, reply

ENDPOINTS: dict[str, str] = {
    "POST /email, POST /email/batch": "Postmark: send",
    "GET /messages/outbound": "Postmark: search, and /{id}/details",
    "POST /api/v1/chat/completions": "OpenRouter: chat, streaming and with tools",
    "GET /api/v1/models": "OpenRouter: models",
    "GET, DELETE /sandbox/ledger": "GET: accepted messages; DELETE: reset",
    "GET /sandbox/ledger/summary": "totals and duplicates",
    "GET /sandbox/messages/{id}": "one of the latest messages, and /html",
    "GET, PUT, DELETE /sandbox/faults": "fault switches",
    "GET, PUT, POST, DELETE /sandbox/webhooks": "GET: state; PUT: endpoint; POST: send an event; DELETE: reset",
    "GET, POST, DELETE /sandbox/suppressions": "suppressed addresses",
    "GET /sandbox/llm/requests": "requests to the model",
}
SWITCHES = {section: {name: sorted(options) for name, options in known.items()} for section, known in KNOWN.items()}
HOW_TO_SWITCH = (
    "PUT an object of sections to /sandbox/faults. The switches of a section in the request replace all active ones "
    "of that section. A switch is true, an object of options, or the value of its main option (a number, a text or "
    "a list); false and null leave it off. All switches have count (how often the fault occurs), skip (how often it "
    "does not before that) and probability (0 to 1)."
)
EXAMPLE = """curl -X PUT localhost:8025/sandbox/faults -H 'content-type: application/json' \\
  -d '{"postmark": {"rate_limited": {"count": 2, "retry_after": 1}}}'"""
DESCRIPTION = "A local simulation of the mail and model vendors. No mail is sent."


async def index(request: Request) -> Response:
    """The endpoints, the fault switches and the latest messages: HTML for a browser, otherwise JSON."""
    ledger = sandbox_of(request).ledger
    if "text/html" not in request.headers.get("accept", ""):
        details = {
            "what": DESCRIPTION,
            "accepted": len(ledger.messages),
            "endpoints": ENDPOINTS,
            "switches": SWITCHES,
        }
        return reply({"name": "NudgeCampaign vendor sandbox", **details})
    endpoints = "".join(
        f"<tr><td><code>{escape(path)}</code></td><td>{escape(what)}</td></tr>" for path, what in ENDPOINTS.items()
    )
    switches = "".join(
        f"<tr><td><code>{section}.{name}</code></td><td>{escape(', '.join(options))}</td></tr>"
        for section, section_switches in SWITCHES.items()
        for name, options in section_switches.items()
    )
    latest = "".join(
        f'<li><a href="/sandbox/messages/{key}/html">{escape(str(body.get("Subject") or "(no subject)"))}</a>'
        f" to {escape(str(body.get('To')))}</li>"
        for key, body in list(ledger.bodies.items())[-20:][::-1]
    )
    return HTMLResponse(
        f"<!doctype html><title>Vendor sandbox</title><h1>Vendor sandbox</h1><p>{DESCRIPTION} "
        f"{len(ledger.messages)} messages accepted.</p><table>{endpoints}</table><h2>Latest mail</h2>"
        f"<ul>{latest}</ul>"
        f"<h2>Fault switches</h2><p>{HOW_TO_SWITCH}</p><pre>{escape(EXAMPLE)}</pre>"
        f"<table><tr><th>switch</th><th>its own options</th></tr>{switches}</table>",
        headers={"content-security-policy": "default-src 'none'"},
    )


async def message(request: Request) -> Response:
    """The entry of a message in the ledger, and the message as it was sent if it is among the latest 200."""
    sandbox = sandbox_of(request)
    message_id = request.path_params["message_id"]
    entry = sandbox.ledger.by_id.get(message_id)
    if entry is None:
        raise HttpError(404, {"error": f"no message {message_id}"})
    return reply({"entry": asdict(entry), "message": sandbox.ledger.bodies.get(message_id)})


async def message_html(request: Request) -> Response:
    """The HTML of a message; scripts, forms and remote content are blocked."""
    stored: JsonObject | None = sandbox_of(request).ledger.bodies.get(request.path_params["message_id"])
    if stored is None:
        raise HttpError(404, {"error": "only the latest 200 messages are stored"})
    html = stored.get("HtmlBody") or f"<pre>{escape(str(stored.get('TextBody') or ''))}</pre>"
    return HTMLResponse(
        str(html),
        headers={
            "content-security-policy": "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        },
    )
