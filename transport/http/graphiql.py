"""GraphiQL, the page for trying the API in a browser: the response to `GET /graphql` with `Accept: text/html`."""

import re
import secrets
from html import escape
from importlib.resources import files
from string import Template

import orjson
from starlette.types import Send

from development import DEMO_EMAIL, DEMO_PASSWORD
from transport.http.assets import CDN, SCRIPTS, STYLE

_PAGE = Template(files("transport.http").joinpath("graphiql.html").read_text("utf-8"))
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")
_LOCAL_SOURCE = "this server, which serves web/node_modules: run `npm ci` in web, or check the browser's console"
_CDN_SOURCE = (
    f"{CDN}, used because web/node_modules is not complete: install Node.js and run `npm ci` in web (`make dev` "
    "does), or go online"
)


def render(nonce: str, *, demo: bool = False) -> str:
    """The HTML page. Its script carries the nonce; with `demo` the demo organization's account is filled in."""
    scripts = "\n".join(
        f'    <script nonce="{nonce}" src="{escape(asset.url)}" integrity="sha384-{asset.sha384}" '
        f'crossorigin="anonymous"></script>'
        for asset in SCRIPTS
    )
    attributes = f'href="{escape(STYLE.url)}" integrity="sha384-{STYLE.sha384}" crossorigin="anonymous"'
    style = f'<link rel="stylesheet" {attributes}>'
    email, password = (DEMO_EMAIL, DEMO_PASSWORD) if demo else ("you@example.com", "your password")
    account = "The demo organization's account is filled in." if demo else "Fill in your address and password."
    return _PAGE.substitute(
        nonce=nonce,
        scripts=scripts,
        style=style,
        account=account,
        email=_script_string(f'"{email}"'),
        password=_script_string(f'"{password}"'),
        source=_script_string(_LOCAL_SOURCE if _is_installed() else _CDN_SOURCE),
    )


def _script_string(text: str) -> str:
    """A JavaScript string literal that cannot close its script element."""
    return orjson.dumps(text).decode().replace("<", "\\u003c")


def _is_installed() -> bool:
    """Whether all of GraphiQL's files are installed on this server."""
    return all(asset.file.is_file() for asset in (STYLE, *SCRIPTS))


def content_security_policy(nonce: str, host: str) -> str:
    """The Content-Security-Policy: the page may load its own files alone, and connect to the API alone.

    The editor needs inline styles; scripts need the nonce. Some browsers don't count WebSockets as 'self'.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    remote = "" if _is_installed() else f" {CDN}"
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


async def send_page(send: Send, request_id: str, host: str, *, demo: bool) -> None:
    """Send the page as the response."""
    nonce = secrets.token_urlsafe(16)
    body = render(nonce, demo=demo).encode()
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "content-security-policy": content_security_policy(nonce, host),
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-request-id": request_id,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
