"""A TCP relay to PostgreSQL that can be closed and opened again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.engine import make_url

from settings import Settings
from tests.conftest import Servers, copy_template, settings_for


@dataclass(slots=True)
class Relay:
    """A TCP relay to PostgreSQL that can be closed and opened again."""

    host: str
    port: int
    own_port: int = 0
    server: asyncio.Server | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self.server = await asyncio.start_server(self.forward, "127.0.0.1", self.own_port)
        self.own_port = self.server.sockets[0].getsockname()[1]

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward bytes in both directions until either side ends."""
        target_reader, target_writer = await asyncio.open_connection(self.host, self.port)
        self.writers += [writer, target_writer]
        await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))

    def disconnect(self) -> None:
        """Close the listener, and abort all connections."""
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy bytes until the end of the stream."""
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        return  # aborted by disconnect()
    finally:
        writer.close()


@asynccontextmanager
async def relayed(servers: Servers) -> AsyncIterator[tuple[Relay, Settings]]:
    """A relay to the session's PostgreSQL, and settings with the relay's address."""
    settings = settings_for(servers, await copy_template(servers))
    assert settings.database.url is not None
    url = make_url(settings.database.url.get_secret_value())
    relay = Relay(host=str(url.host), port=int(url.port or 0))
    await relay.open()
    relay_url = url.set(host="127.0.0.1", port=relay.own_port).render_as_string(hide_password=False)
    document = settings.model_dump()
    document["database"]["url"] = relay_url
    try:
        yield relay, Settings.model_validate({**document, "_env_file": None})
    finally:
        relay.disconnect()
