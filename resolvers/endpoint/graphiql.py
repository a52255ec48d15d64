"""GraphiQL, the page where people try the API: what `GET /graphql` shows to a browser."""

import re
import secrets
from html import escape
from importlib.resources import files
from string import Template

from starlette.types import Send

from resolvers.endpoint.assets import CDN, SCRIPTS, STYLE

PAGE = Template(files("resolvers.endpoint").joinpath("graphiql.html").read_text("utf-8"))
HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")


def html(nonce: str) -> str:
    """The page, with the nonce that its own script carries."""
    scripts = "\n".join(
        f'    <script nonce="{nonce}" src="{escape(asset.url)}" integrity="sha384-{asset.sha384}" '
        f'crossorigin="anonymous"></script>'
        for asset in SCRIPTS
    )
    attributes = f'href="{escape(STYLE.url)}" integrity="sha384-{STYLE.sha384}" crossorigin="anonymous"'
    style = f'<link rel="stylesheet" {attributes}>'
    return PAGE.substitute(nonce=nonce, scripts=scripts, style=style)


def policy(nonce: str, host: str) -> str:
    """What the page may load and where it may connect: nothing but the API and its own files.

    Inline styles are the editor's; scripts need the nonce. Some browsers don't count websockets as 'self'.
    """
    sockets = f" ws://{host} wss://{host}" if HOST.fullmatch(host) else ""
    remote = "" if all(asset.file.is_file() for asset in (STYLE, *SCRIPTS)) else f" {CDN}"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'nonce-{nonce}'",
            f"style-src 'self' 'unsafe-inline'{remote}",
            "font-src data:",
            "img-src 'self' data:",
            f"connect-src 'self'{sockets}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


async def page(send: Send, request_id: str, host: str) -> None:
    """Send the page."""
    nonce = secrets.token_urlsafe(16)
    body = html(nonce).encode()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "content-security-policy": policy(nonce, host),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-request-id": request_id,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
