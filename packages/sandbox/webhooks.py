"""Time passes for accepted messages: events come due, change the ledger, and are posted to the client's webhook."""

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
from sandbox.engagement import Turn, plan
from sandbox.events import BOUNCES, Happening, payload
from sandbox.faults import Faults
from sandbox.ledger import Ledger, Message
from sandbox.wire import JsonObject, Refused

log = logging.getLogger("sandbox")

POSTERS = 16
OUTBOX = 1_000
HISTORY = 2_000
AT_ONCE = 500
GRAIN = 0.01  # seconds: events that fall due within it are handled together
FORBIDDEN = 403
# Postmark's waits between attempts, in minutes; a minute lasts a second at pace 1.
RETRY_MINUTES = (1, 5, 10, 10, 10, 15, 30, 60, 120, 360)


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    username: str | None
    password: str | None

    def credentials(self) -> dict[str, str]:
        """The HTTP Basic header, when a user name is set."""
        if not self.username:
            return {}
        return {"authorization": aiohttp.encode_basic_auth(self.username, self.password or "")}


@dataclass(frozen=True, slots=True)
class Step:
    """The next event of a message to one recipient, and those after it."""

    message: Message
    recipient: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A webhook on its way; `attempt` counts from 1."""

    body: bytes
    attempt: int = 1


class Webhooks:
    """The clock and the posters of one sandbox; they run while `running()` is entered."""

    def __init__(self, config: SandboxConfig, ledger: Ledger, faults: Faults) -> None:
        self.target = (
            Target(config.webhook_url, config.webhook_username, config.webhook_password)
            if config.webhook_url
            else None
        )
        self.stopped = False
        self._config = config
        self._ledger = ledger
        self._faults = faults
        self._random = random.Random(config.seed)  # noqa: S311 - a repeatable simulation, nothing secret
        self._counts: Counter[str] = Counter()
        self._incoming: deque[Message] = deque()
        self._due: list[tuple[float, int, Step | Parcel]] = []
        self._order = count()
        self._wake = asyncio.Event()
        self._outbox: asyncio.Queue[Parcel] = asyncio.Queue(OUTBOX)
        self._history: OrderedDict[str, list[bytes]] = OrderedDict()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the clock and the posters; stop them, and drop what is still to come, on leaving."""
        connector = aiohttp.TCPConnector(limit=POSTERS)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as self._session:
            tasks = [asyncio.create_task(self._tick())]
            tasks += [asyncio.create_task(self._post()) for _ in range(POSTERS)]
            for task in tasks:
                task.add_done_callback(_report)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def follow(self, messages: list[Message]) -> None:
        """Start the simulated lives of accepted messages."""
        self._incoming.extend(messages)
        self._wake.set()

    def send(self, body: bytes) -> None:
        """Post one event soon, with retries."""
        self._push(0, Parcel(body))
        self._wake.set()

    async def send_now(self, body: bytes) -> int:
        """Post one event at once and without retries; the receiver's HTTP status, 0 when it cannot be reached."""
        if self.target is None:
            raise Refused(409, {"error": "no webhook URL is set (PUT /sandbox/webhooks)"})
        if self.stopped:
            raise Refused(409, {"error": "webhooks stopped after a 403 (DELETE /sandbox/webhooks starts them)"})
        return await self._attempt(self.target, body)

    def happen(self, happening: Happening) -> list[Happening]:
        """Let an event take place: change the ledger, and return all that is to be told of it."""
        happening.message.status = "Sent"
        told = [happening]
        reason = _suppression_reason(happening)
        if reason:
            self._ledger.suppress(happening.message.stream, happening.recipient, reason, "Recipient")
            if happening.kind != "SubscriptionChange":
                told.append(replace(happening, kind="SubscriptionChange", reason=reason))
        return told

    def write(self, happenings: list[Happening]) -> list[bytes]:
        """The webhooks that tell of these happenings of one message, kept for a replay."""
        bodies = [orjson.dumps(self._as_seen_in_the_wild(payload(each))) for each in happenings]
        self._remember(happenings[0].message.message_id, bodies)
        return bodies

    def history(self, message_id: str) -> list[bytes]:
        """The webhooks of a message so far; kept for the latest 2,000 messages."""
        return self._history.get(message_id, [])

    def aim(self, target: Target | None) -> None:
        """Change where webhooks go."""
        self.target = target
        self.stopped = False

    def reset(self) -> None:
        """Drop everything still to come, forget the past, and start again after a 403."""
        self._incoming.clear()
        self._due.clear()
        self._counts.clear()
        self._history.clear()
        while not self._outbox.empty():
            self._outbox.get_nowait()
        self.stopped = False

    def show(self) -> JsonObject:
        """Where webhooks go, what waits, and how the attempts went."""
        return {
            "url": self.target.url if self.target else None,
            "stopped": self.stopped,
            "waiting": len(self._due) + len(self._incoming),
            "queued": self._outbox.qsize(),
            **{name: self._counts[name] for name in ("attempts", "delivered", "failed", "given_up", "discarded")},
        }

    def _push(self, delay: float, entry: Step | Parcel) -> None:
        heapq.heappush(self._due, (monotonic() + delay, next(self._order), entry))

    async def _tick(self) -> None:
        while True:
            self._wake.clear()
            self._plan_incoming()
            for _ in range(AT_ONCE):
                if not self._due or self._due[0][0] > monotonic():
                    break
                await self._come_due(heapq.heappop(self._due)[2])
            if self._incoming or (self._due and self._due[0][0] <= monotonic()):
                await asyncio.sleep(0)
                continue
            wait = max(GRAIN, self._due[0][0] - monotonic()) if self._due else None
            # Not `asyncio.timeout`: up to Python 3.11.2 it can let a cancellation out.
            waking = asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait([waking], timeout=wait)
            finally:
                waking.cancel()

    def _plan_incoming(self) -> None:
        for _ in range(min(AT_ONCE, len(self._incoming))):
            message = self._incoming.popleft()
            for recipient in message.recipients:
                turns = plan(
                    recipient,
                    self._config.seed,
                    self._config.rates,
                    opens=message.track_opens,
                    clicks=message.link is not None,
                )
                self._push(turns[0].delay * self._config.pace, Step(message, recipient, turns))

    async def _come_due(self, entry: Step | Parcel) -> None:
        if isinstance(entry, Parcel):
            await self._outbox.put(entry)
            return
        turn, *rest = entry.turns
        happening = Happening(kind=turn.kind, message=entry.message, recipient=entry.recipient, first=turn.first)
        told = self.happen(happening)
        if rest:
            self._push(rest[0].delay * self._config.pace, replace(entry, turns=tuple(rest)))
        if self.target is not None:
            for body in self.write(told):
                await self._dispatch(body)

    async def _dispatch(self, body: bytes) -> None:
        for _ in range(2 if self._faults.take("webhooks", "duplicate") else 1):
            if fault := self._faults.take("webhooks", "reorder"):
                self._push(self._random.random() * fault.number("seconds", 1), Parcel(body))
            else:
                await self._outbox.put(Parcel(body))

    async def _post(self) -> None:
        while True:
            parcel = await self._outbox.get()
            if self.target is None or self.stopped:
                self._counts["discarded"] += 1
                continue
            status = await self._attempt(self.target, parcel.body)
            if not _received(status) and status != FORBIDDEN:
                self._try_again(parcel)

    def _try_again(self, parcel: Parcel) -> None:
        if parcel.attempt > len(RETRY_MINUTES):
            self._counts["given_up"] += 1
            return
        wait = RETRY_MINUTES[parcel.attempt - 1] * self._config.pace
        self._push(wait, replace(parcel, attempt=parcel.attempt + 1))
        self._wake.set()

    async def _attempt(self, target: Target, body: bytes) -> int:
        if self._session is None:
            raise RuntimeError("the sandbox is not running")
        headers = {"content-type": "application/json", "user-agent": "Postmark", **target.credentials()}
        try:
            async with self._session.post(target.url, data=body, headers=headers, allow_redirects=False) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError):
            status = 0
        self._counts["attempts"] += 1
        self._counts["delivered" if _received(status) else "failed"] += 1
        self.stopped = self.stopped or status == FORBIDDEN
        return status

    def _as_seen_in_the_wild(self, event: JsonObject) -> JsonObject:
        if self._faults.take("webhooks", "server_id_spelling"):
            event["ServerId"] = event.pop("ServerID")
        if self._faults.take("webhooks", "missing_metadata"):
            del event["Metadata"]
        if self._faults.take("webhooks", "missing_tag"):
            del event["Tag"]
        return event

    def _remember(self, message_id: str, bodies: list[bytes]) -> None:
        self._history.setdefault(message_id, []).extend(bodies)
        while len(self._history) > HISTORY:
            self._history.popitem(last=False)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task of the sandbox ended by an error", exc_info=error)


def _received(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own figures


def _suppression_reason(happening: Happening) -> str | None:
    if happening.kind == "SubscriptionChange":
        return happening.reason
    if happening.kind == "SpamComplaint":
        return "SpamComplaint"
    if happening.kind in BOUNCES and BOUNCES[happening.kind][2]:
        return "HardBounce"
    return None
