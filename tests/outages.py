"""A way to PostgreSQL that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.engine import make_url

from settings import Settings
from tests.conftest import Servers, copy_template, settings_for


@dataclass(slots=True)
class Relay:
    """A way to PostgreSQL that can be cut."""

    host: str
    port: int
    own_port: int = 0
    server: asyncio.Server | None = None
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self.server = await asyncio.start_server(self.join, "127.0.0.1", self.own_port)
        self.own_port = self.server.sockets[0].getsockname()[1]

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until either side ends."""
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        self.writers += [writer, far_writer]
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    def cut(self) -> None:
        """Close the door, and end what goes through it."""
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until they end."""
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        return  # cut
    finally:
        writer.close()


@asynccontextmanager
async def relayed(servers: Servers) -> AsyncIterator[tuple[Relay, Settings]]:
    """A relay to the session's PostgreSQL, and settings that go through it."""
    settings = settings_for(servers, await copy_template(servers))
    assert settings.database.url is not None
    url = make_url(settings.database.url.get_secret_value())
    relay = Relay(host=str(url.host), port=int(url.port or 0))
    await relay.open()
    through = url.set(host="127.0.0.1", port=relay.own_port).render_as_string(hide_password=False)
    document = settings.model_dump()
    document["database"]["url"] = through
    try:
        yield relay, Settings.model_validate({**document, "_env_file": None})
    finally:
        relay.cut()
