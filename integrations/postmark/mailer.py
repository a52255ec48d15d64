"""Postmark over HTTP: one attempt a call, and every answer sorted by whether something may have been sent."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    Answered,
    BatchRefused,
    Envelope,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    Receipt,
    SearchFailed,
    Stream,
    Verdict,
)

# https://postmarkapp.com/developer/api/email-api and /user-guide/send-email-with-api/batch-emails
LIMITS: Final = ProviderLimits(max_messages=500, max_bytes=50_000_000, max_from_bytes=255)
# https://postmarkapp.com/developer/api/overview#error-codes
INACTIVE: Final = 406
RATE_LIMITED: Final = 429
ACCOUNT_CODES: Final = frozenset({10, 400, 401, 405, 412, 413, 1226, 1235})
NO_STREAM: Final = (
    "Postmark does not know the message stream. Set NUDGE_POSTMARK__MESSAGE_STREAM and resume the campaign."
)
ADVICE: Final = {
    10: "The server token is not valid. Set NUDGE_POSTMARK__SERVER_TOKEN and resume the campaign.",
    400: "The sender address is not known to Postmark. Add a sender signature for it and resume the campaign.",
    401: "The sender address is not confirmed at Postmark. Confirm it there and resume the campaign.",
    405: "Postmark does not let this account send. Check its plan and credits, then resume the campaign.",
    412: "The Postmark account is not active. Reactivate it and resume the campaign.",
    413: "The Postmark account may not send to these recipients yet. Ask Postmark for approval, then resume.",
    1226: NO_STREAM,
    1235: NO_STREAM,
}
PAGE: Final = 500
# Well below the idle time after which servers close: a request on a connection closed meanwhile would be in doubt.
KEEP_ALIVE_SECONDS: Final = 2.0
CONNECT_SHARE: Final = 0.5
LONGEST_RETRY_AFTER: Final = 300.0
LARGEST_CODE: Final = 2**31 - 1
SLICE_BYTES: Final = 262_144


class SearchPage(NamedTuple):
    """A page of a search, and how many hits there are on all pages."""

    hits: Sequence[Mapping[str, object]]
    total: int


class PostmarkMailer:
    """Postmark's API for one server token."""

    name = "Postmark"

    def __init__(
        self,
        *,
        base_url: str,
        server_token: str,
        message_stream: str,
        transactional_stream: str = "outbound",
        sender: str = "",
        timeout_seconds: float = 15.0,
        messages_per_second: int = 0,
        connections: int = 32,
    ) -> None:
        self.batch_url = f"{base_url.rstrip('/')}/email/batch"
        self.search_url = f"{base_url.rstrip('/')}/messages/outbound"
        self.streams = {Stream.BROADCAST: message_stream, Stream.TRANSACTIONAL: transactional_stream}
        self.sender = sender
        self.timeout_seconds = timeout_seconds
        self.limits = replace(LIMITS, messages_per_second=messages_per_second)
        self.connections = connections
        self.headers = {
            "X-Postmark-Server-Token": server_token,
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        fingerprint = hashlib.sha256(f"{base_url}\n{server_token}".encode()).hexdigest()
        self.account = f"postmark:{fingerprint[:16]}"
        self.opened: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one session, opened on first use within the running loop."""
        if self.opened is None:
            self.opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.connections, keepalive_timeout=KEEP_ALIVE_SECONDS),
                headers=self.headers,
                auto_decompress=True,
            )
        return self.opened

    async def send(self, envelope: Envelope, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """POST the batch once. Until its last part is written nothing can have been sent; then it is in doubt."""
        body = Body(encode(envelope, messages, self.streams[envelope.stream]), not_after=not_after)
        timeout_seconds = not_after - since_boot()
        if timeout_seconds <= 0:
            return NotSent(reason="Too late to send.", local=True)
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, connect=timeout_seconds * CONNECT_SHARE, ceil_threshold=float("inf")
        )
        try:
            async with self.session.post(
                self.batch_url,
                data=body.parts(),
                headers={"Content-Length": str(len(body.content))},
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return classify(
                    response.status, await response.read(), response.headers.get("Retry-After"), len(messages)
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            return NotSent(reason=f"Postmark cannot be reached: {describe(error)}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not body.complete:
                return NotSent(reason=f"The request could not be written: {describe(error)}", local=body.late)
            return InDoubt(reason=f"The reply was lost: {describe(error)}", under_way=isinstance(error, TimeoutError))

    async def find(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """Search by the batch in the metadata, page by page."""
        found: dict[str, str] = {}
        offset = 0
        while True:
            page = await self.search(batch_id, stream, offset)
            for hit in page.hits:
                metadata = hit.get("Metadata")
                delivery = metadata.get("delivery") if isinstance(metadata, dict) else None
                if isinstance(delivery, str):
                    found.setdefault(delivery, message_id_of(hit))
            offset += PAGE
            if offset >= page.total or not page.hits:
                return found

    async def search(self, batch_id: str, stream: Stream, offset: int) -> SearchPage:
        """A page of the outbound messages of a batch; raises `SearchFailed`."""
        query = {
            "count": str(PAGE),
            "offset": str(offset),
            "metadata_batch": batch_id,
            "messagestream": self.streams[stream],
        }
        try:
            async with self.session.get(
                self.search_url, params=query, timeout=aiohttp.ClientTimeout(total=15), allow_redirects=False
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SearchFailed(f"Postmark's search does not answer: {describe(error)}") from error
        if response.status != 200:  # noqa: PLR2004 - OK
            raise SearchFailed(f"Postmark's search answered {response.status}.")
        return search_page(parsed(body))

    async def aclose(self) -> None:
        """Close the session; the mailer opens another when it is used again."""
        if self.opened is not None:
            await self.opened.close()
            self.opened = None


def encode(envelope: Envelope, messages: Sequence[Message], message_stream: str) -> bytes:
    """The batch as Postmark's bare JSON array."""
    tracked = envelope.stream is Stream.BROADCAST
    shared = {
        "From": envelope.sender,
        "Tag": envelope.tag,
        "MessageStream": message_stream,
        # The links of system mail carry secrets, which no tracker's redirect may see.
        "TrackOpens": tracked,
        "TrackLinks": "HtmlAndText" if tracked else "None",
    }
    named = {"batch": envelope.batch_id} | ({"campaign": envelope.campaign_id} if envelope.campaign_id else {})
    return orjson.dumps(
        [
            shared
            | {
                "To": message.to,
                "Subject": message.subject,
                "HtmlBody": message.html,
                "TextBody": message.text,
                "Metadata": named | {"delivery": message.delivery_id},
                "Headers": headers_of(message),
            }
            for message in messages
        ]
    )


def headers_of(message: Message) -> list[dict[str, str]]:
    """A broadcast's way out (RFC 8058); what says of any other that no person wrote it (RFC 3834)."""
    if message.unsubscribe_url is None:
        return [{"Name": "Auto-Submitted", "Value": "auto-generated"}]
    return [
        {"Name": "List-Unsubscribe", "Value": f"<{message.unsubscribe_url}>"},
        {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
    ]


class Body:
    """A request's body, handed over in parts and never too late.

    The last look at the time stands right before each write: a process that was stopped in between, and woken when
    others have taken its work over, writes no more. `complete` says whether the last part went out; without it the
    provider cannot have taken anything. `late` says that the time was over before that.
    """

    def __init__(self, content: bytes, *, not_after: float) -> None:
        self.content = content
        self.not_after = not_after
        self.complete = False
        self.late = False

    async def parts(self) -> AsyncIterator[memoryview]:
        """The parts, each small enough for the loop to do something else between them; raises `TimeoutError`."""
        view = memoryview(self.content)
        for start in range(0, len(view), SLICE_BYTES):
            if since_boot() > self.not_after:
                self.late = True
                raise TimeoutError("too late to send")
            self.complete = start + SLICE_BYTES >= len(view)
            yield view[start : start + SLICE_BYTES]


def classify(status: int, body: bytes, retry_after: str | None, count: int) -> Outcome:
    """What an HTTP answer to a batch of `count` messages means."""
    document = parsed(body)
    if status == 200:  # noqa: PLR2004 - OK
        return receipts(document, count)
    code, text = error_of(document)
    reason = f"Postmark answered {status}" + (f", code {code}: {text}" if text else "")
    if status >= 500 or status == 408 or status < 300:  # noqa: PLR2004 - no word on what was done
        return InDoubt(reason=reason)
    if RATE_LIMITED in (status, code):
        return NotSent(reason=reason, retry_after_seconds=seconds(retry_after))
    if status in (413, 422) and code not in ACCOUNT_CODES:
        verdict = Verdict.INACTIVE if code == INACTIVE else Verdict.REFUSED
        return BatchRefused(code=code, reason=text or reason, verdict=verdict)
    if status == 401 or code in ACCOUNT_CODES:  # noqa: PLR2004 - Unauthorized
        return AccountRefused(code=code or status, reason=ADVICE.get(code or 10, reason))
    return AccountRefused(code=code or status, reason=f"{reason}. Check NUDGE_POSTMARK__BASE_URL, then resume.")


def receipts(document: object, count: int) -> Outcome:
    """The items of a 200 answer; in doubt unless there is one for each message."""
    if not isinstance(document, list) or len(document) != count:
        return InDoubt(reason="Postmark's answer cannot be read")
    try:
        return Answered(receipts=[receipt(item) for item in document])
    except (KeyError, TypeError, AttributeError):
        return InDoubt(reason="Postmark's answer cannot be read")


def receipt(item: Mapping[str, Any]) -> Receipt:
    """One item of a 200 answer."""
    code = item["ErrorCode"]
    if code == 0:
        message_id = item["MessageID"]
        if not isinstance(message_id, str) or plain(message_id) != message_id:
            raise TypeError("MessageID is no text")
        return Receipt(Verdict.ACCEPTED, message_id)
    if not isinstance(code, int) or abs(code) > LARGEST_CODE:
        raise TypeError("ErrorCode is no number")
    text = plain(item.get("Message")) or f"Postmark's code {code}"
    if code == INACTIVE:
        return Receipt(Verdict.INACTIVE, None, code, text)
    if code == RATE_LIMITED:
        return Receipt(Verdict.NOT_NOW, None, code, text)
    if code in ACCOUNT_CODES:
        return Receipt(Verdict.ACCOUNT, None, code, ADVICE.get(code, text))
    return Receipt(Verdict.REFUSED, None, code, text)


def search_page(document: object) -> SearchPage:
    """The answer to a search; raises `SearchFailed` for what is none, as nobody may conclude anything from it."""
    match document:
        case {"Messages": list(hits), "TotalCount": int(total)} if all(isinstance(hit, dict) for hit in hits):
            return SearchPage(hits, total)
    raise SearchFailed("The answer of Postmark's search cannot be read.")


def message_id_of(hit: Mapping[str, object]) -> str:
    """The message id of a hit; raises `SearchFailed`, as a message without one is not absent for all that."""
    message_id = hit.get("MessageID")
    if not isinstance(message_id, str) or plain(message_id) != message_id:
        raise SearchFailed("Postmark's search found a message without a readable id.")
    return message_id


def parsed(body: bytes) -> object:
    """The JSON of a body, or None when it is none."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document


def error_of(document: object) -> tuple[int, str]:
    """The code and text of an error document; 0 and nothing when it is none."""
    if not isinstance(document, dict):
        return 0, ""
    code = document.get("ErrorCode")
    return code if isinstance(code, int) and abs(code) <= LARGEST_CODE else 0, plain(document.get("Message"))


def plain(value: object) -> str:
    """The text without NUL characters, which PostgreSQL cannot hold."""
    return str(value or "").replace("\x00", "")


def seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds, within reason; dates are not used by Postmark and ignored."""
    return min(float(retry_after), LONGEST_RETRY_AFTER) if retry_after and retry_after.isdecimal() else None


def describe(error: BaseException) -> str:
    """An error in a line."""
    return f"{type(error).__name__} {error}".strip()
