"""Monitors an authenticated connection: is the client alive, is its token good, have its rights changed."""

import asyncio
import random
import time
from typing import Protocol

from cancellation.tasks import cancel_and_wait
from core.access.session import Session
from core.clock import since_boot
from core.errors import ErrorCode, InvalidInput, Unauthenticated
from core.http.settings import RealtimeSettings
from core.pubsub import HubClosed, session_topic
from core.supervision import supervise
from core.telemetry import describe_error, logger
from resolvers.context import Dependencies

FORBIDDEN = 4403
TERMINATED = 4499
MISSED_PONGS = 2
GAP_SPREAD_SECONDS = 5.0
EARLIEST_TURN = 0.1

log = logger(__name__)


class Watched(Protocol):
    """The connection that is watched over."""

    async def close(self, code: int, reason: str) -> None:
        """Close it, telling the client why."""

    async def ping(self) -> None:
        """Ask the client for a pong."""

    def press(self) -> None:
        """Cancel again what was cancelled and runs on."""

    async def take_over(self, session: Session) -> None:
        """Go on with the rights that the caller has now."""


class ConnectionMonitor:
    """One task for each connection, asleep until the next thing is due. Ends when the connection closes."""

    def __init__(
        self,
        dependencies: Dependencies,
        limits: RealtimeSettings,
        session: Session,
        *,
        token: str,
        connection: Watched,
    ) -> None:
        self.hub = dependencies.hub
        self.identity = dependencies.identity
        self.limits = limits
        self.session = session
        self.token = token
        self.connection = connection
        self.missed = 0
        self.renewing: asyncio.Future[None] | None = None
        now = since_boot()
        # After a restart thousands of clients reconnect together: their pings and rechecks are spread.
        turn = random.uniform(EARLIEST_TURN, 1.0)  # noqa: S311 - no secret
        self.ping_at = now + turn * self.limits.ping_seconds
        self.recheck_at = now + turn * self.limits.recheck_seconds
        self.expires_at = now + session.expires_at - time.time()
        self.task = asyncio.create_task(supervise("socket-monitor", self.watch), name="socket-monitor")

    async def watch(self) -> None:
        """Ping, look at the token and the rights again, until one of them closes the connection."""
        try:
            with self.hub.watch(session_topic(self.session.actor.id)) as watcher:
                while not await self.finished():
                    due = min(self.ping_at, self.recheck_at, self.expires_at) - since_boot()
                    signal = await watcher.next(within=max(due, 0.0))
                    if signal is not None:
                        # After a gap (Redis was away) every socket would ask at once: spread them.
                        spread = GAP_SPREAD_SECONDS if signal.kind == "gap" else 0.0
                        wait = random.uniform(0.0, min(spread, self.limits.recheck_seconds))  # noqa: S311 - no secret
                        self.recheck_at = min(self.recheck_at, since_boot() + wait)
        except HubClosed:
            return  # the server goes away, and closes the sockets itself
        except BaseException:
            self.recheck_at = 0.0  # what is announced until the next run is lost
            raise

    async def finished(self) -> bool:
        """Do what is due; true when the connection was closed."""
        if since_boot() >= self.expires_at and self.renewing is not None:
            # Asked for in time: the database's answer decides. No client can prolong it, as renewals do not queue.
            await asyncio.wait([self.renewing], timeout=self.limits.init_timeout_seconds)
        now = since_boot()
        if now >= self.expires_at:
            await self.connection.close(FORBIDDEN, "The access token has expired")
            return True
        if now >= self.recheck_at:
            self.recheck_at = now + self.limits.recheck_seconds
            reason = await self.objection()
            if reason is not None:
                await self.connection.close(FORBIDDEN, reason[:120])
                return True
        if now >= self.ping_at:
            self.connection.press()
            self.ping_at = now + self.limits.ping_seconds
            if self.missed >= MISSED_PONGS:
                await self.connection.close(TERMINATED, "No pong")
                return True
            self.missed += 1
            await self.connection.ping()
        return False

    async def objection(self) -> str | None:
        """Why the caller may not go on; None when they may, or when nobody can tell at the moment."""
        token, session = self.token, self.session
        try:
            current = await self.identity.recheck(token)
        except Unauthenticated as refused:
            return str(refused) if token == self.token else None  # it was renewed meanwhile, and looked at anew
        except Exception as error:  # noqa: BLE001 - the token itself is good: an outage of ours closes no socket
            log.warning("a socket's rights could not be looked at", error=describe_error(error))
            return None
        if session is not self.session or current.actor.rights == session.actor.rights:
            return None  # a renewal has read the rights later than this
        return "Your rights have changed; connect again"

    async def renew(self, token: str) -> int:
        """Let the connection go on with a fresh token of the same caller; the seconds that it lasts now.

        Raises `InvalidInput`, and changes nothing then. A token that ends before the present one brings its rights
        alone.
        """
        if self.renewing is not None:
            raise InvalidInput(
                "This connection is being renewed.",
                code=ErrorCode.CONFLICT,
                suggestion="Renew it once, and wait for the answer.",
            )
        self.renewing = asyncio.get_running_loop().create_future()
        try:
            current = await self.identity.renew(token, self.session)
            ends_at = since_boot() + current.expires_at - time.time()
            if ends_at > self.expires_at:
                self.token, self.expires_at = token, ends_at
            self.session = current
            await self.connection.take_over(current)
        finally:
            self.renewing.set_result(None)
            self.renewing = None
        return int(self.expires_at - since_boot())

    async def end(self) -> None:
        """Stop watching."""
        await cancel_and_wait([self.task])
