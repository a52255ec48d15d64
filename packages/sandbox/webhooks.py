"""Events of accepted messages. When due, they are applied to the ledger and posted to the client's endpoint."""

import asyncio
import heapq
import logging
import random
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from time import monotonic

import aiohttp
import orjson

from sandbox.config import SandboxConfig
from sandbox.engagement import PlannedEvent, plan
from sandbox.events import BOUNCES, WebhookEvent, payload
from sandbox.faults import Faults
from sandbox.ledger import AcceptedMessage, Ledger
from sandbox.wire import HttpError, JsonObject

log = logging.getLogger("sandbox")

WORKERS = 16
MAX_QUEUED = 1_000
MAX_HISTORY = 2_000
MAX_PER_ROUND = 500
TICK_SECONDS = 0.01  # events that are due within it are processed together
FORBIDDEN = 403
# Postmark's delays between attempts, in minutes. Each minute takes `pace` seconds: a larger pace is slower.
RETRY_MINUTES = (1, 5, 10, 10, 10, 15, 30, 60, 120, 360)


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """The client's webhook endpoint, with its credentials for HTTP Basic."""

    url: str
    username: str | None
    password: str | None

    def credentials(self) -> dict[str, str]:
        """The HTTP Basic header, if a user name is set."""
        if not self.username:
            return {}
        return {"authorization": aiohttp.encode_basic_auth(self.username, self.password or "")}


@dataclass(frozen=True, slots=True)
class PendingEvents:
    """The remaining events of a message to one recipient."""

    message: AcceptedMessage
    recipient: str
    events: tuple[PlannedEvent, ...]


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that is to be sent to the endpoint: its body, and the number of its attempt, from 1."""

    body: bytes
    attempt: int = 1


class WebhookScheduler:
    """Schedules the events of a sandbox and posts them to the endpoint, within the context of `running()`."""

    def __init__(self, config: SandboxConfig, ledger: Ledger, faults: Faults) -> None:
        self.endpoint = (
            WebhookEndpoint(config.webhook_url, config.webhook_username, config.webhook_password)
            if config.webhook_url
            else None
        )
        self.stopped = False
        self._config = config
        self._ledger = ledger
        self._faults = faults
        self._random = random.Random(config.seed)  # noqa: S311 - a repeatable simulation, not a secret
        self._counts: Counter[str] = Counter()
        self._incoming: deque[AcceptedMessage] = deque()
        self._due: list[tuple[float, int, PendingEvents | PendingRequest]] = []
        self._order = count()
        self._changed = asyncio.Event()
        self._queue: asyncio.Queue[PendingRequest] = asyncio.Queue(MAX_QUEUED)
        self._history: OrderedDict[str, list[bytes]] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the schedule and the workers until the context exits; pending events are dropped."""
        connector = aiohttp.TCPConnector(limit=WORKERS)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            tasks = [asyncio.create_task(self._run_schedule())]
            tasks += [asyncio.create_task(self._run_worker()) for _ in range(WORKERS)]
            for task in tasks:
                task.add_done_callback(_log_failure)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def schedule(self, messages: list[AcceptedMessage]) -> None:
        """Schedule the events of accepted messages."""
        self._incoming.extend(messages)
        self._changed.set()

    def send(self, body: bytes) -> None:
        """Send an event soon, with retries."""
        self._push(0, PendingRequest(body))
        self._changed.set()

    async def send_now(self, body: bytes) -> int:
        """Send an event immediately, without retries; returns the HTTP status, 0 if the receiver is unreachable."""
        if self.endpoint is None:
            raise HttpError(409, {"error": "no webhook URL is set (PUT /sandbox/webhooks)"})
        if self.stopped:
            raise HttpError(409, {"error": "webhooks stopped after a 403 (DELETE /sandbox/webhooks starts them)"})
        return await self._attempt(self.endpoint, body)

    def apply(self, event: WebhookEvent) -> list[WebhookEvent]:
        """Apply an event to the ledger; returns the events to send: itself and those it causes."""
        # Postmark's status of a message that it has processed, whether or not it was delivered.
        event.message.status = "Sent"
        events = [event]
        reason = _suppression_reason(event)
        if reason:
            self._ledger.suppress(event.message.stream, event.recipient, reason, "Recipient")
            if event.kind != "SubscriptionChange":
                events.append(replace(event, kind="SubscriptionChange", reason=reason))
        return events

    def encode(self, events: list[WebhookEvent]) -> list[bytes]:
        """The request bodies of one message's events, stored for a replay."""
        bodies = [orjson.dumps(self._with_faults(payload(each))) for each in events]
        self._store(events[0].message.message_id, bodies)
        return bodies

    def history(self, message_id: str) -> list[bytes]:
        """The request bodies of a message's events so far; stored for the latest 2,000 messages."""
        return self._history.get(message_id, [])

    def set_endpoint(self, endpoint: WebhookEndpoint | None) -> None:
        """Change the endpoint; sending is resumed if a 403 had stopped it."""
        self.endpoint = endpoint
        self.stopped = False

    def reset(self) -> None:
        """Drop pending events and the history; sending is resumed if a 403 had stopped it."""
        self._incoming.clear()
        self._due.clear()
        self._counts.clear()
        self._history.clear()
        while not self._queue.empty():
            self._queue.get_nowait()
        self.stopped = False

    def show(self) -> JsonObject:
        """The URL of the endpoint, the numbers of pending events, and the counters of attempts by outcome."""
        return {
            "url": self.endpoint.url if self.endpoint else None,
            "stopped": self.stopped,
            "waiting": len(self._due) + len(self._incoming),
            "queued": self._queue.qsize(),
            **{name: self._counts[name] for name in ("attempts", "acknowledged", "failed", "abandoned", "discarded")},
        }

    def _push(self, delay: float, entry: PendingEvents | PendingRequest) -> None:
        heapq.heappush(self._due, (monotonic() + delay, next(self._order), entry))

    async def _run_schedule(self) -> None:
        while True:
            self._changed.clear()
            self._plan_incoming()
            for _ in range(MAX_PER_ROUND):
                if not self._due or self._due[0][0] > monotonic():
                    break
                await self._process_due(heapq.heappop(self._due)[2])
            if self._incoming or (self._due and self._due[0][0] <= monotonic()):
                await asyncio.sleep(0)
                continue
            wait = max(TICK_SECONDS, self._due[0][0] - monotonic()) if self._due else None
            # Not `asyncio.timeout`: up to Python 3.11.2 it can raise `CancelledError`.
            waiting = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait([waiting], timeout=wait)
            finally:
                waiting.cancel()

    def _plan_incoming(self) -> None:
        for _ in range(min(MAX_PER_ROUND, len(self._incoming))):
            message = self._incoming.popleft()
            for recipient in message.recipients:
                events = plan(
                    recipient,
                    self._config.seed,
                    self._config.rates,
                    opens=message.track_opens,
                    clicks=message.link is not None,
                )
                self._push(events[0].delay * self._config.pace, PendingEvents(message, recipient, events))

    async def _process_due(self, entry: PendingEvents | PendingRequest) -> None:
        if isinstance(entry, PendingRequest):
            await self._queue.put(entry)
            return
        planned, *rest = entry.events
        event = WebhookEvent(kind=planned.kind, message=entry.message, recipient=entry.recipient, first=planned.first)
        events = self.apply(event)
        if rest:
            self._push(rest[0].delay * self._config.pace, replace(entry, events=tuple(rest)))
        if self.endpoint is not None:
            for body in self.encode(events):
                await self._enqueue(body)

    async def _enqueue(self, body: bytes) -> None:
        for _ in range(2 if self._faults.take("webhooks", "duplicate") else 1):
            if fault := self._faults.take("webhooks", "reorder"):
                self._push(self._random.random() * fault.number("seconds", 1), PendingRequest(body))
            else:
                await self._queue.put(PendingRequest(body))

    async def _run_worker(self) -> None:
        while True:
            pending = await self._queue.get()
            if self.endpoint is None or self.stopped:
                self._counts["discarded"] += 1
                continue
            status = await self._attempt(self.endpoint, pending.body)
            if not _is_acknowledged(status) and status != FORBIDDEN:
                self._retry(pending)

    def _retry(self, pending: PendingRequest) -> None:
        if pending.attempt > len(RETRY_MINUTES):
            self._counts["abandoned"] += 1
            return
        wait = RETRY_MINUTES[pending.attempt - 1] * self._config.pace
        self._push(wait, replace(pending, attempt=pending.attempt + 1))
        self._changed.set()

    async def _attempt(self, endpoint: WebhookEndpoint, body: bytes) -> int:
        if self._session is None:
            raise RuntimeError("the sandbox is not running")
        headers = {"content-type": "application/json", "user-agent": "Postmark", **endpoint.credentials()}
        try:
            async with self._session.post(
                endpoint.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self._counts["attempts"] += 1
        self._counts["acknowledged" if _is_acknowledged(status) else "failed"] += 1
        self.stopped = self.stopped or status == FORBIDDEN
        return status

    def _with_faults(self, event: JsonObject) -> JsonObject:
        if self._faults.take("webhooks", "server_id_spelling"):
            event["ServerId"] = event.pop("ServerID")
        if self._faults.take("webhooks", "missing_metadata"):
            del event["Metadata"]
        if self._faults.take("webhooks", "missing_tag"):
            del event["Tag"]
        return event

    def _store(self, message_id: str, bodies: list[bytes]) -> None:
        self._history.setdefault(message_id, []).extend(bodies)
        while len(self._history) > MAX_HISTORY:
            self._history.popitem(last=False)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task of the sandbox failed", exc_info=error)


def _is_acknowledged(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's success codes


def _suppression_reason(event: WebhookEvent) -> str | None:
    if event.kind == "SubscriptionChange":
        return event.reason
    if event.kind == "SpamComplaint":
        return "SpamComplaint"
    if event.kind in BOUNCES and BOUNCES[event.kind][2]:
        return "HardBounce"
    return None
