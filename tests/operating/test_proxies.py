"""The configurations of nginx and Caddy in docs/production.md, as printed except for addresses and certificates."""

import asyncio
import contextlib
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from socket import AF_INET

import aiohttp
import pytest

from local.folder import free_ports
from runtime import Runtime, running
from tests import factories
from tests.graphql.sockets import PROTOCOL, Socket
from tests.serving import served

PAGE = Path(__file__).parents[2] / "docs" / "production.md"
PROXIES = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"))
    for name in ("nginx", "caddy")
]
LOG_IN = "mutation($input: LogInInput!) { logIn(input: $input) { userErrors { code } } }"


def configuration_block(language: str) -> str:
    """The page's only configuration in a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(block)


def replace_addresses(text: str, changes: dict[str, str]) -> str:
    """Replace addresses and paths by those of this machine; each must occur in the text."""
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


def nginx(folder: Path, api: str, port: int, plain: int) -> list[str]:
    """Write nginx's configuration around the printed part; returns the command to run it."""
    site = replace_addresses(
        configuration_block("nginx"),
        {
            "[::]:443": f"[::1]:{port}",
            "[::]:80;": f"[::1]:{plain};",
            "listen 443": f"listen 127.0.0.1:{port}",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "app.example.org;": "localhost;",
            "/etc/letsencrypt/live/app.example.org": str(folder),
            "127.0.0.1:8000": api,
        },
    )
    paths = "\n".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = folder / "nginx.conf"
    # As root, nginx would run its workers as `nobody`, which may not write into the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    path.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off;\n{paths}\n{site} }}\n"
    )
    return ["nginx", "-c", str(path), "-e", "stderr"]


def caddy(folder: Path, api: str, port: int, plain: int) -> list[str]:
    """Write Caddy's configuration from the printed one; returns the command to run it."""
    site = replace_addresses(
        configuration_block("caddyfile"),
        {
            "app.example.org {": (
                f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/fullchain.pem {folder}/privkey.pem"
            ),
            "127.0.0.1:8000": api,
        },
    )
    path = folder / "Caddyfile"
    path.write_text(site.replace("{\n", f"{{\n\tadmin off\n\thttp_port {plain}\n\tauto_https disable_redirects\n", 1))
    return ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]


def make_certificate(folder: Path) -> None:
    """Create a certificate for localhost in the files that the page names."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )


class Proxy:
    """A running proxy."""

    def __init__(self, base: str, context: ssl.SSLContext) -> None:
        self.base = base
        self.context = context

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1") -> AsyncIterator[aiohttp.ClientSession]:
        """A client that connects from this address of the machine."""
        connector = aiohttp.TCPConnector(ssl=self.context, local_addr=(address, 0), family=AF_INET)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session


@asynccontextmanager
async def proxied(name: str, folder: Path, api: str) -> AsyncIterator[Proxy]:
    """Run the proxy in front of the API until the block ends."""
    make_certificate(folder)
    port, plain = free_ports(2)
    command = {"nginx": nginx, "caddy": caddy}[name](folder, api, port, plain)
    log = folder / "proxy.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=file,
            stderr=file,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )
    context = ssl.create_default_context(cafile=folder / "fullchain.pem")
    proxy = Proxy(f"https://localhost:{port}", context)
    try:
        async with asyncio.timeout(60), proxy.client() as session:
            while True:
                assert process.returncode is None, log.read_text()
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"{proxy.base}/healthz") as response:
                        if response.status == 200:
                            break
                await asyncio.sleep(0.05)
        yield proxy
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def behind(name: str, runtime: Runtime, folder: Path) -> AsyncIterator[Proxy]:
    """Run the API, which trusts the proxy, behind it."""
    api_settings = runtime.settings.api.model_copy(update={"trusted_proxies": ["127.0.0.1"]})
    auth = runtime.settings.auth.model_copy(update={"failed_logins": 2})
    settings = runtime.settings.model_copy(update={"api": api_settings, "auth": auth})
    async with (
        running(settings) as own,
        served(own) as server,
        proxied(name, folder, server.base.removeprefix("http://")) as proxy,
    ):
        yield proxy


@pytest.mark.parametrize("name", PROXIES)
async def test_requests_and_websockets_pass(runtime: Runtime, tmp_path: Path, name: str) -> None:
    """GraphQL over HTTPS and over a WebSocket; the API refuses a large body, the proxy a huge one."""
    token = factories.token(runtime, await factories.organization(runtime))
    headers = {"authorization": f"Bearer {token}"}
    async with behind(name, runtime, tmp_path) as proxy, proxy.client() as session:
        url = f"{proxy.base}/graphql"
        sent = {**headers, "content-type": "application/json"}
        for _ in range(3):  # over connections that the proxy keeps open
            async with session.post(url, json={"query": "{ viewer { role } }"}, headers=headers) as response:
                assert (await response.json())["data"] == {"viewer": {"role": "OWNER"}}
                assert "max-age" in response.headers["strict-transport-security"]
        raw = await session.ws_connect(url, protocols=[PROTOCOL])
        socket = Socket(raw)
        await socket.ready(token)
        await socket.subscribe("{ viewer { role } }")
        assert (await socket.next())["payload"]["data"] == {"viewer": {"role": "OWNER"}}
        await raw.close()
        async with session.post(url, data=BytesIO(b"x" * 1_500_000), headers=sent) as response:
            assert response.status == 413
            assert "errors" in await response.json(content_type=None)
        async with session.post(url, data=BytesIO(b"x" * 3_000_000), headers=sent) as response:
            assert response.status == 413
        async with session.get(f"{proxy.base}/metrics") as response:
            assert response.status == 404
        async with session.get(f"{proxy.base}/readyz") as response:
            assert response.status == 200


@pytest.mark.parametrize("name", PROXIES)
async def test_the_clients_address_is_passed_on_and_cannot_be_forged(
    runtime: Runtime, tmp_path: Path, name: str
) -> None:
    """Failed log-ins count for the address that the proxy sees, not for one in the client's headers."""
    variables = {"input": {"email": f"{name}@nobody.example", "password": "not-the-password"}}

    async def log_in(proxy: Proxy, address: str, claimed: str) -> str:
        async with (
            proxy.client(address) as session,
            session.post(
                f"{proxy.base}/graphql",
                json={"query": LOG_IN, "variables": variables},
                headers={"x-forwarded-for": claimed, "x-real-ip": claimed},
            ) as response,
        ):
            return await response.text()

    async with behind(name, runtime, tmp_path) as proxy:
        for number in range(2):
            assert "INVALID_CREDENTIALS" in await log_in(proxy, "127.0.0.2", f"192.0.2.{number}")
        assert "RATE_LIMITED" in await log_in(proxy, "127.0.0.2", "192.0.2.9")
        assert "INVALID_CREDENTIALS" in await log_in(proxy, "127.0.0.3", "127.0.0.2")
