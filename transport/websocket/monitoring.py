"""Monitors an authenticated connection: the client responds, the token is valid, the permissions have not changed."""

import asyncio
import random
import time
from typing import Protocol

from cancellation.tasks import cancel_and_wait
from core.access.session import Session
from core.clock import since_boot
from core.errors import Conflict, Unauthenticated
from core.http.settings import RealtimeSettings
from core.pubsub import HubClosed, session_topic
from core.supervision import supervise
from core.telemetry import describe_error, logger
from resolvers.context import Dependencies

FORBIDDEN = 4403
TERMINATED = 4499
MAX_MISSED_PONGS = 2
GAP_SPREAD_SECONDS = 5.0
MIN_FRACTION = 0.1

log = logger(__name__)


class MonitoredConnection(Protocol):
    """What the monitor needs of a connection."""

    async def close(self, code: int, reason: str) -> None:
        """Close it with a code and a reason for the client."""

    async def ping(self) -> None:
        """Send a ping; the client must reply with a pong."""

    def recancel(self) -> None:
        """Cancel again the tasks that still run after they were cancelled."""

    async def apply_session(self, session: Session) -> None:
        """Replace the session by one of the same caller with the current permissions."""


class ConnectionMonitor:
    """One task for each connection, which sleeps until the next check is due. Ends when the connection closes."""

    def __init__(
        self,
        dependencies: Dependencies,
        limits: RealtimeSettings,
        session: Session,
        *,
        token: str,
        connection: MonitoredConnection,
    ) -> None:
        self.hub = dependencies.hub
        self.identity = dependencies.identity
        self.limits = limits
        self.session = session
        self.token = token
        self.connection = connection
        self.missed_pongs = 0
        self.renewal: asyncio.Future[None] | None = None
        now = since_boot()
        # After a restart thousands of clients reconnect together: their pings and rechecks are spread.
        fraction = random.uniform(MIN_FRACTION, 1.0)  # noqa: S311 - no secret
        self.ping_at = now + fraction * self.limits.ping_seconds
        self.recheck_at = now + fraction * self.limits.recheck_seconds
        self.expires_at = now + session.expires_at - time.time()
        self.task = asyncio.create_task(supervise("connection-monitor", self._run), name="connection-monitor")

    async def _run(self) -> None:
        """Send pings and recheck the token and the permissions, until one of these checks closes the connection."""
        try:
            with self.hub.watch(session_topic(self.session.actor.id)) as watcher:
                while not await self.run_due_checks():
                    due = min(self.ping_at, self.recheck_at, self.expires_at) - since_boot()
                    signal = await watcher.next(within=max(due, 0.0))
                    if signal is not None:
                        # After a gap (a Redis outage) all connections would recheck together: spread the rechecks.
                        max_wait = GAP_SPREAD_SECONDS if signal.kind == "gap" else 0.0
                        wait = random.uniform(0.0, min(max_wait, self.limits.recheck_seconds))  # noqa: S311 - no secret
                        self.recheck_at = min(self.recheck_at, since_boot() + wait)
        except HubClosed:
            return  # the server is shutting down, and closes the connections itself
        except BaseException:
            self.recheck_at = 0.0  # signals before the next run are missed
            raise

    async def run_due_checks(self) -> bool:
        """Run the checks that are due; true when one of them closed the connection."""
        if since_boot() >= self.expires_at and self.renewal is not None:
            # The renewal began in time: wait for its result. A second renewal is refused, so this is the only wait.
            await asyncio.wait([self.renewal], timeout=self.limits.init_timeout_seconds)
        now = since_boot()
        if now >= self.expires_at:
            await self.connection.close(FORBIDDEN, "The access token has expired")
            return True
        if now >= self.recheck_at:
            self.recheck_at = now + self.limits.recheck_seconds
            reason = await self.close_reason()
            if reason is not None:
                await self.connection.close(FORBIDDEN, reason[:120])
                return True
        if now >= self.ping_at:
            self.connection.recancel()
            self.ping_at = now + self.limits.ping_seconds
            if self.missed_pongs >= MAX_MISSED_PONGS:
                await self.connection.close(TERMINATED, "No pong")
                return True
            self.missed_pongs += 1
            await self.connection.ping()
        return False

    async def close_reason(self) -> str | None:
        """Why the connection must close; None when it need not, or when the permissions can't be read now."""
        token, session = self.token, self.session
        try:
            current = await self.identity.recheck(token)
        except Unauthenticated as refusal:
            return str(refusal) if token == self.token else None  # a renewal has verified a new token since
        except Exception as error:  # noqa: BLE001 - an outage must not close a connection whose token is valid
            log.warning("a WebSocket's permissions could not be rechecked", error=describe_error(error))
            return None
        if session is not self.session or current.actor.rights == session.actor.rights:
            return None  # a renewal has read the permissions after this recheck
        return "Your permissions have changed; connect again"

    async def renew(self, token: str) -> int:
        """Continue the connection with a new token of the same caller; returns the seconds until it expires.

        Raises `Conflict`, or an error of `Identity.renew`, without changing anything. From a token that expires
        before the present one, only the permissions are used.
        """
        if self.renewal is not None:
            raise Conflict(
                "This connection is being renewed.",
                suggestion="Wait for the response to the first renewal.",
            )
        self.renewal = asyncio.get_running_loop().create_future()
        try:
            current = await self.identity.renew(token, self.session)
            ends_at = since_boot() + current.expires_at - time.time()
            if ends_at > self.expires_at:
                self.token, self.expires_at = token, ends_at
            self.session = current
            await self.connection.apply_session(current)
        finally:
            self.renewal.set_result(None)
            self.renewal = None
        return int(self.expires_at - since_boot())

    async def stop(self) -> None:
        """Stop monitoring."""
        await cancel_and_wait([self.task])
