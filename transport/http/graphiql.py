"""GraphiQL, the page where people try the API: what `GET /graphql` shows to a browser."""

import re
import secrets
from html import escape
from importlib.resources import files
from string import Template

import orjson
from starlette.types import Send

from development import DEMO_EMAIL, DEMO_PASSWORD
from transport.http.assets import CDN, SCRIPTS, STYLE

PAGE = Template(files("transport.http").joinpath("graphiql.html").read_text("utf-8"))
HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")


HERE = "this server, which serves web/node_modules: run `npm ci` in web, or look into the browser's console"
ELSEWHERE = (
    f"{CDN}, which stands in as web/node_modules is not complete: install Node.js and run `npm ci` in web (`make "
    "dev` does), or go online"
)


def html(nonce: str, *, demo: bool = False) -> str:
    """The page, with the nonce that its own script carries, and the demo organisation's account if wanted."""
    scripts = "\n".join(
        f'    <script nonce="{nonce}" src="{escape(asset.url)}" integrity="sha384-{asset.sha384}" '
        f'crossorigin="anonymous"></script>'
        for asset in SCRIPTS
    )
    attributes = f'href="{escape(STYLE.url)}" integrity="sha384-{STYLE.sha384}" crossorigin="anonymous"'
    style = f'<link rel="stylesheet" {attributes}>'
    email, password = (DEMO_EMAIL, DEMO_PASSWORD) if demo else ("you@example.com", "your password")
    account = "The demo organization's account is filled in." if demo else "Fill in your address and password."
    return PAGE.substitute(
        nonce=nonce,
        scripts=scripts,
        style=style,
        account=account,
        email=text_in_script(f'"{email}"'),
        password=text_in_script(f'"{password}"'),
        source=text_in_script(HERE if installed() else ELSEWHERE),
    )


def text_in_script(text: str) -> str:
    """A text as JavaScript writes it, which cannot end its script element."""
    return orjson.dumps(text).decode().replace("<", "\\u003c")


def installed() -> bool:
    """Whether this server has all of GraphiQL's files."""
    return all(asset.file.is_file() for asset in (STYLE, *SCRIPTS))


def policy(nonce: str, host: str) -> str:
    """What the page may load and where it may connect: nothing but the API and its own files.

    Inline styles are the editor's; scripts need the nonce. Some browsers don't count websockets as 'self'.
    """
    sockets = f" ws://{host} wss://{host}" if HOST.fullmatch(host) else ""
    remote = "" if installed() else f" {CDN}"
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


async def page(send: Send, request_id: str, host: str, *, demo: bool) -> None:
    """Send the page."""
    nonce = secrets.token_urlsafe(16)
    body = html(nonce, demo=demo).encode()
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
