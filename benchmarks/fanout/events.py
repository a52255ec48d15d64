"""Events for the servers: a changed row and a signal for ours, a POST with the final values for the others."""

import asyncio
from abc import ABC, abstractmethod
from time import time
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from benchmarks.environment import Api, BenchmarkEnvironment
from core.ids import decode_global_id
from core.pubsub import Publisher, campaign_topic
from local.roles import DATABASE

ADVANCE = """UPDATE campaign_stats SET sequence = sequence + 1, pending = pending - 10, accepted = accepted + 10,
  updated_at = clock_timestamp() WHERE campaign_id = $1 RETURNING sequence"""
AUDIENCE = 1_000_000


class Events(ABC):
    """The source of a server's events."""

    @abstractmethod
    async def publish(self) -> tuple[int, float]:
        """Publish one event; returns its sequence and the time just before the server gets it, in Unix seconds."""


class RowEvents(Events):
    """Events for our API: change the counts in the database, then publish to the topic, as a worker does."""

    def __init__(
        self, connection: "asyncpg.Connection[asyncpg.Record]", publisher: Publisher, topic: str, id_: UUID
    ) -> None:
        self.connection = connection
        self.publisher = publisher
        self.topic = topic
        self.id = id_

    @classmethod
    async def of(cls, env: BenchmarkEnvironment, ours: Api, campaign_id: str) -> "RowEvents":
        """Events of a campaign, which this sets to `sending`."""
        decoded = decode_global_id(campaign_id)
        assert decoded is not None
        connection = await asyncpg.connect(env.postgres.admin_url, database=DATABASE)
        await connection.execute(
            "UPDATE campaigns SET status = 'sending', started_at = now() WHERE id = $1", decoded[1]
        )
        await connection.execute(
            "UPDATE campaign_stats SET audience = $2, pending = $2 WHERE campaign_id = $1", decoded[1], AUDIENCE
        )
        return cls(connection, Publisher(env.redis_url), campaign_topic(ours.organization_id, decoded[1]), decoded[1])

    async def publish(self) -> tuple[int, float]:
        """Change the row, commit, publish to the topic."""
        sequence = await self.connection.fetchval(ADVANCE, self.id)
        at = time()
        await self.publisher.publish(self.topic)
        return sequence, at

    async def close(self) -> None:
        """Close both connections."""
        await self.publisher.aclose()
        await self.connection.close()


class PostedEvents(Events):
    """Events for the other servers: the values that ours would send, without a database, which favors them."""

    def __init__(self, port: int, campaign_id: str) -> None:
        self.port = port
        self.campaign_id = campaign_id
        self.sequence = 0

    @classmethod
    async def of(cls, port: int, campaign_id: str) -> "PostedEvents":
        """Events of the server on this port; publishes the first, so that there is a state."""
        created = cls(port, campaign_id)
        await created.publish()
        return created

    async def publish(self) -> tuple[int, float]:
        """Post an event."""
        self.sequence += 1
        body = orjson.dumps(self.values())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)  # Node closes idle connections
        at = time()
        head = b"POST /publish HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        response = await reader.read()
        writer.close()
        assert response.startswith(b"HTTP/1.1 200"), response
        return self.sequence, at

    def values(self) -> dict[str, Any]:
        """An event with the same fields and about the same size as ours."""
        return {
            "campaignId": self.campaign_id,
            "sequence": self.sequence,
            "status": "SENDING",
            "audience": AUDIENCE,
            "pending": AUDIENCE - 10 * self.sequence,
            "inFlight": 0,
            "accepted": 10 * self.sequence,
            "delivered": 0,
            "bounced": 0,
            "failed": 0,
            "percent": round(self.sequence / 1_000, 3),
            "ratePerSecond": 100.0,
            "estimatedSecondsLeft": 9_999 - self.sequence // 10,
            "occurredAt": "2026-01-01T00:00:00.000000+00:00",
        }
