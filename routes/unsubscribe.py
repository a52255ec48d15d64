"""The public unsubscribe page, and one-click unsubscribe (RFC 8058): no cookies, no redirects, no effect of GET."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from routes.outages import RETRY_AFTER, SERVICE_UNAVAILABLE, handle_outage
from runtime import Runtime
from services.suppressions.unsubscribing import UnsubscribeLink, read_link, read_subscription, unsubscribe

_STYLE = (
    "body{font:1.125rem/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;margin:0}"
    "main{max-width:32rem;margin:15vh auto 0;padding:0 1.5rem}h1{font-size:1.5rem}"
    "button{font:inherit;color:#fff;background:#1f4fd8;border:0;border-radius:.375rem;padding:.75rem 1.5rem;"
    "min-height:2.75rem;cursor:pointer}button:focus-visible{outline:3px solid #1a1a1a;outline-offset:3px}"
)
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST")
_ASK = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button type="submit">Unsubscribe</button></form>'
)


def routes(runtime: Runtime) -> list[BaseRoute]:
    """`GET` and `POST /u/{token}`, also with a trailing slash, as a POST is never redirected (RFC 8058, 3.1)."""

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": ", ".join(_METHODS)})
        link = read_link(runtime.unsubscribe_signer, request.path_params["token"])
        if link is None:
            return unknown()
        return await click(link) if request.method == "POST" else await page(link)

    async def page(link: UnsubscribeLink) -> Response:
        subscription = await read_subscription(runtime.reads(link.actor.tenant), link)
        if subscription is None:
            return unknown()
        name = escape(subscription.organization_name)
        if subscription.is_unsubscribed:
            return answer("You are unsubscribed", f"<p>{name} will not send you e-mail again.</p>")
        return answer("Unsubscribe?", f"<p>You will get no more e-mail from {name}.</p>{_ASK}")

    async def click(link: UnsubscribeLink) -> Response:
        # Everything that the answer needs is read first: after the commit, an outage must not turn it into an error.
        subscription = await read_subscription(runtime.reads(link.actor.tenant), link)
        if subscription is None or not await unsubscribe(runtime.work, link):
            return unknown()
        name = escape(subscription.organization_name)
        return answer("You are unsubscribed", f"<p>You will get no more e-mail from {name}.</p>")

    guarded = handle_outage(endpoint, unavailable)
    return [Route(path, guarded, methods=list(_METHODS)) for path in ("/u/{token}", "/u/{token}/")]


def unknown() -> Response:
    """The page for a link that is not ours, or whose delivery and contact were deleted."""
    hint = "<p>Please open the complete link from the e-mail again, or reply to the e-mail.</p>"
    return answer("This link does not work", hint, 404)


def unavailable() -> Response:
    """The page while the database is unavailable, with the button to try again."""
    hint = (
        "<p>We cannot save your choice at the moment, so you are not unsubscribed yet. "
        f"Please try again in a minute.</p>{_ASK}"
    )
    return answer("Please try again in a minute", hint, SERVICE_UNAVAILABLE, RETRY_AFTER)


def answer(title: str, content: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A small page that works without scripts, images or cookies."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{content}</main></body></html>",
        status_code=status,
        headers={**_HEADERS, **(headers or {})},
    )
