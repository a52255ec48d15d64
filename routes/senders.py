"""The page of the link that confirms a sender. GET only shows the request, as link scanners follow every link."""

from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from routes.outages import RETRY_AFTER, SERVICE_UNAVAILABLE, handle_outage
from routes.unsubscribe import answer
from runtime import Runtime
from services.senders import confirming
from services.senders.confirming import PATH, TokenInvalid

_ASK = '<form method="post"><button type="submit">Yes, allow it</button></form>'


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`GET` and `POST /confirm-sender/{token}`."""

    async def page(request: Request) -> Response:
        confirmation = await confirming.find_confirmation(runtime.system, request.path_params["token"])
        if confirmation is None:
            return unknown()
        actor, sender_id = confirmation
        pending = await confirming.read_request(runtime.reads(actor.tenant), sender_id)
        if pending is None:
            return unknown()
        who = f"{pending.person} of {pending.organization_name}" if pending.person else pending.organization_name
        return answer(
            "Allow this sender?",
            f"<p>{escape(who)} asks to send e-mail from <strong>{escape(pending.email)}</strong>.</p>"
            f"<p>If you did not expect this, close this page. No e-mail is sent from this address without your "
            f"confirmation.</p>{_ASK}",
        )

    async def confirm(request: Request) -> Response:
        token = request.path_params["token"]
        confirmation = await confirming.find_confirmation(runtime.system, token)
        if confirmation is None:
            return unknown()
        try:
            async with runtime.work.begin(confirmation[0]) as uow:
                row = await confirming.confirm(uow, token)
        except TokenInvalid:
            return unknown()
        return answer("Thank you", f"<p>E-mail can now be sent from <strong>{escape(row.email)}</strong>.</p>")

    path = f"{PATH}/{{token}}"
    return [
        Route(path, handle_outage(page, unavailable), methods=["GET"]),
        Route(path, handle_outage(confirm, unavailable), methods=["POST"]),
    ]


def unavailable() -> Response:
    """The page while the database is unavailable; the token stays valid."""
    hint = "<p>This page is not available at the moment. Please open the link from the e-mail again in a minute.</p>"
    return answer("Please try again in a minute", hint, SERVICE_UNAVAILABLE, RETRY_AFTER)


def unknown() -> Response:
    """The page for a token that is unknown, used or expired; it does not reveal which."""
    hint = (
        "<p>Each link works once and for a limited time. The person who asked you can add the sender again to send "
        "you a new link.</p>"
    )
    return answer("This link is invalid or has expired", hint, 404)
