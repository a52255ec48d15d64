"""The messages that the mail vendor has accepted: indexed in memory, and written to disk before the response."""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from sandbox.wire import JsonObject

MAX_BODIES = 200


@dataclass(slots=True, kw_only=True)
class AcceptedMessage:
    """An accepted message without its bodies. `received_at` is in Unix seconds, `size` in bytes of both bodies."""

    seq: int
    message_id: str
    received_at: float
    sender: str
    to: str
    recipients: list[str]
    subject: str
    tag: str
    metadata: dict[str, str]
    stream: str
    size: int
    sha256: str
    track_opens: bool
    link: str | None
    status: str = "Queued"
    from_header: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    stream: str
    email: str
    reason: str
    origin: str
    created_at: float


class Ledger:
    """The accepted messages and the suppressed addresses of a sandbox."""

    def __init__(self, path: Path | None) -> None:
        self.messages: list[AcceptedMessage] = []
        self.by_id: dict[str, AcceptedMessage] = {}
        self.bodies: OrderedDict[str, JsonObject] = OrderedDict()
        self.counters: Counter[str] = Counter()
        self.suppressions: dict[tuple[str, str], Suppression] = {}
        self._by_metadata: dict[tuple[str, str], list[AcceptedMessage]] = {}
        self._by_recipient: dict[str, list[AcceptedMessage]] = {}
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Read the file of earlier runs, and open it for appending. An incomplete last line is dropped."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+b")
        file.seek(0)
        end = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            self._restore(orjson.loads(line))
            end += len(line)
        file.truncate(end)
        self._file = file

    def close(self) -> None:
        """Close the file; the ledger stays readable."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def reset(self) -> None:
        """Delete everything, also on disk."""
        for index in (self.messages, self.by_id, self.bodies, self.counters, self.suppressions):
            index.clear()
        self._by_metadata.clear()
        self._by_recipient.clear()
        if self._file is not None:
            self._file.truncate(0)

    def accept(self, accepted: list[AcceptedMessage], bodies: list[JsonObject]) -> None:
        """Write messages to disk, then index them; `bodies` are the messages as sent by the client."""
        self._write(accepted)
        for message in accepted:
            self._index(message)
        for message, body in zip(accepted[-MAX_BODIES:], bodies[-MAX_BODIES:], strict=True):
            self.bodies[message.message_id] = body
        while len(self.bodies) > MAX_BODIES:
            self.bodies.popitem(last=False)

    def with_metadata(self, key: str, value: str) -> list[AcceptedMessage]:
        """The messages with this metadata field, oldest first."""
        return self._by_metadata.get((key, value), [])

    def for_recipient(self, email: str) -> list[AcceptedMessage]:
        """The messages to this mailbox, oldest first."""
        return self._by_recipient.get(email.lower(), [])

    def suppress(self, stream: str, email: str, reason: str, origin: str) -> Suppression:
        """Suppress an address on a stream."""
        key = (stream, email.lower())
        suppression = Suppression(
            stream=stream, email=email.lower(), reason=reason, origin=origin, created_at=time.time()
        )
        self._write([{"kind": "suppression", "entry": suppression}])
        self.suppressions[key] = suppression
        return suppression

    def reactivate(self, stream: str, email: str) -> bool:
        """Reactivate an address; False if it was not suppressed."""
        key = (stream, email.lower())
        if key not in self.suppressions:
            return False
        self._write([{"kind": "reactivation", "stream": stream, "email": email.lower()}])
        del self.suppressions[key]
        return True

    def _write(self, entries: Iterable[object]) -> None:
        if self._file is None:
            return
        lines = [orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries]
        self._file.write(b"".join(lines))
        self._file.flush()

    def _restore(self, entry: dict[str, object]) -> None:
        kind = entry.get("kind")
        if kind is None:
            self._index(AcceptedMessage(**{**entry, "status": "Sent"}))  # type: ignore[arg-type]  # our own lines
        elif kind == "suppression" and isinstance(stored := entry["entry"], dict):
            suppression = Suppression(**stored)
            self.suppressions[suppression.stream, suppression.email] = suppression
        elif kind == "reactivation":
            self.suppressions.pop((str(entry["stream"]), str(entry["email"])), None)

    def _index(self, message: AcceptedMessage) -> None:
        self.messages.append(message)
        self.by_id[message.message_id] = message
        for pair in message.metadata.items():
            self._by_metadata.setdefault(pair, []).append(message)
        for recipient in message.recipients:
            self._by_recipient.setdefault(recipient.lower(), []).append(message)


def summarize(messages: Iterable[AcceptedMessage], *, limit: int = 100) -> JsonObject:
    """Totals of the messages, and duplicates by delivery and by campaign and mailbox."""
    deliveries: Counter[str] = Counter()
    mailboxes: Counter[tuple[str, str]] = Counter()
    recipients: set[str] = set()
    campaigns: Counter[str] = Counter()
    accepted = 0
    for message in messages:
        accepted += 1
        campaign = message.metadata.get("campaign", "")
        campaigns[campaign] += 1
        if delivery := message.metadata.get("delivery"):
            deliveries[delivery] += 1
        for mailbox in _mailboxes(message):
            recipients.add(mailbox)
            if campaign:
                mailboxes[campaign, mailbox] += 1
    repeated_deliveries = [(key, count) for key, count in deliveries.items() if count > 1]
    repeated_mailboxes = [(key, count) for key, count in mailboxes.items() if count > 1]
    return {
        "accepted": accepted,
        "distinct_deliveries": len(deliveries),
        "distinct_recipients": len(recipients),
        "distinct_mailboxes": len(mailboxes),
        "duplicates": {
            "deliveries": len(repeated_deliveries),
            "mailboxes": len(repeated_mailboxes),
            "by_delivery": [{"delivery": key, "count": count} for key, count in repeated_deliveries[:limit]],
            "by_mailbox": [
                {"campaign": campaign, "recipient": mailbox, "count": count}
                for (campaign, mailbox), count in repeated_mailboxes[:limit]
            ],
        },
        "campaigns": dict(campaigns),
    }


def _mailboxes(message: AcceptedMessage) -> Iterator[str]:
    return (recipient.lower() for recipient in message.recipients)
