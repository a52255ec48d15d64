"""Postmark's HTTP API: one attempt per call. The outcome states whether a message may have been sent."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import aiohttp
import orjson

from core.clock import since_boot
from integrations.mail import (
    AccountRefused,
    BatchHeader,
    BatchProcessed,
    BatchRefused,
    InDoubt,
    Message,
    NotSent,
    Outcome,
    ProviderLimits,
    SearchFailed,
    Stream,
    SubmissionResult,
    SubmissionStatus,
)

# https://postmarkapp.com/developer/api/email-api and /user-guide/send-email-with-api/batch-emails
LIMITS: Final = ProviderLimits(max_messages=500, max_bytes=50_000_000, max_from_bytes=255)
# https://postmarkapp.com/developer/api/overview#error-codes
_INACTIVE: Final = 406
RATE_LIMITED: Final = 429
_ACCOUNT_CODES: Final = frozenset({10, 400, 401, 405, 412, 413, 1226, 1235})
_NO_STREAM: Final = (
    "The message stream does not exist at Postmark. Set NUDGE_POSTMARK__MESSAGE_STREAM, then resume paused campaigns."
)
# The same for campaigns, which are paused until a user resumes them, and for system mail, which is retried.
_ADVICE: Final = {
    10: "The server token is not valid. Set NUDGE_POSTMARK__SERVER_TOKEN, then resume paused campaigns.",
    400: "The sender address has no sender signature at Postmark. Add one, then resume paused campaigns.",
    401: "The sender address is not confirmed at Postmark. Confirm it there, then resume paused campaigns.",
    405: "Postmark does not allow this account to send. Check its plan and credits, then resume paused campaigns.",
    412: "The Postmark account is not active. Reactivate it, then resume paused campaigns.",
    413: "Postmark's approval for these recipients is missing. Request it, then resume paused campaigns.",
    1226: _NO_STREAM,
    1235: _NO_STREAM,
}
PAGE: Final = 500
# Well below the idle timeout of servers: a request on a connection that the server just closed would be in doubt.
_KEEP_ALIVE_SECONDS: Final = 2.0
_CONNECT_SHARE: Final = 0.5
_MAX_RETRY_AFTER_SECONDS: Final = 300.0
_MAX_CODE: Final = 2**31 - 1
_PART_BYTES: Final = 262_144


class _SearchPage(NamedTuple):
    """A page of the search: its hits, and the number of hits on all pages."""

    hits: Sequence[Mapping[str, object]]
    total: int


class PostmarkMailer:
    """A client of Postmark's API for one server token."""

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
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, opened on first use in the running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.connections, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                headers=self.headers,
                auto_decompress=True,
            )
        return self._session

    async def send(self, header: BatchHeader, messages: Sequence[Message], *, not_after: float) -> Outcome:
        """POST the batch once. Until the last part of the body is written, nothing can have been sent.

        `caused_locally` means that the time was up in this process. `in_progress` means that Postmark may
        still be processing the request.
        """
        body = Body(encode(header, messages, self.streams[header.stream]), not_after=not_after)
        timeout_seconds = not_after - since_boot()
        if timeout_seconds <= 0:
            return NotSent(reason="Too late to send.", caused_locally=True)
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, connect=timeout_seconds * _CONNECT_SHARE, ceil_threshold=float("inf")
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
            return NotSent(reason=f"Postmark cannot be reached: {_describe(error)}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not body.complete:
                return NotSent(
                    reason=f"The request could not be written: {_describe(error)}", caused_locally=body.late
                )
            return InDoubt(
                reason=f"The response was lost: {_describe(error)}", in_progress=isinstance(error, TimeoutError)
            )

    async def search_batch(self, batch_id: str, stream: Stream = Stream.BROADCAST) -> Mapping[str, str]:
        """Search the outbound messages by the batch id in their metadata, page by page."""
        message_ids: dict[str, str] = {}
        offset = 0
        while True:
            page = await self._fetch_page(batch_id, stream, offset)
            for hit in page.hits:
                metadata = hit.get("Metadata")
                delivery = metadata.get("delivery") if isinstance(metadata, dict) else None
                if isinstance(delivery, str):
                    message_ids.setdefault(delivery, _message_id_of(hit))
            offset += PAGE
            if offset >= page.total or not page.hits:
                return message_ids

    async def _fetch_page(self, batch_id: str, stream: Stream, offset: int) -> _SearchPage:
        """Fetch one page of the search for a batch's messages; raises `SearchFailed`."""
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
            raise SearchFailed(f"Postmark's search does not respond: {_describe(error)}") from error
        if response.status != 200:  # noqa: PLR2004 - OK
            raise SearchFailed(f"Postmark's search returned {response.status}.")
        return _parse_page(_parse_json(body))

    async def aclose(self) -> None:
        """Close the session; another one is opened if the mailer is used again."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def encode(header: BatchHeader, messages: Sequence[Message], message_stream: str) -> bytes:
    """The JSON body of a batch: an array of messages."""
    tracked = header.stream is Stream.BROADCAST
    shared = {
        "From": header.sender,
        "Tag": header.tag,
        "MessageStream": message_stream,
        # Links in system mail have secret tokens, which must not go through the redirect of click tracking.
        "TrackOpens": tracked,
        "TrackLinks": "HtmlAndText" if tracked else "None",
    }
    metadata = {"batch": header.batch_id} | ({"campaign": header.campaign_id} if header.campaign_id else {})
    return orjson.dumps(
        [
            shared
            | {
                "To": message.to,
                "Subject": message.subject,
                "HtmlBody": message.html,
                "TextBody": message.text,
                "Metadata": metadata | {"delivery": message.delivery_id},
                "Headers": _headers_of(message),
            }
            for message in messages
        ]
    )


def _headers_of(message: Message) -> list[dict[str, str]]:
    """One-click unsubscribe (RFC 8058) for broadcasts; Auto-Submitted (RFC 3834) for system mail."""
    if message.unsubscribe_url is None:
        return [{"Name": "Auto-Submitted", "Value": "auto-generated"}]
    return [
        {"Name": "List-Unsubscribe", "Value": f"<{message.unsubscribe_url}>"},
        {"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"},
    ]


class Body:
    """A request's body, which is written in parts, and not after `not_after` (`since_boot` seconds).

    The time is checked right before each part, so that a process that was suspended until its lease expired does not
    go on writing while another one sends the same messages. `complete` is set once the last part is written; before
    that the provider cannot have accepted anything. `late` is set if the time was up before that.
    """

    def __init__(self, content: bytes, *, not_after: float) -> None:
        self.content = content
        self.not_after = not_after
        self.complete = False
        self.late = False

    async def parts(self) -> AsyncIterator[memoryview]:
        """The parts, small enough that the event loop is not blocked; raises `TimeoutError`."""
        view = memoryview(self.content)
        for start in range(0, len(view), _PART_BYTES):
            if since_boot() > self.not_after:
                self.late = True
                raise TimeoutError("too late to send")
            self.complete = start + _PART_BYTES >= len(view)
            yield view[start : start + _PART_BYTES]


def classify(status: int, body: bytes, retry_after: str | None, count: int) -> Outcome:
    """The outcome of a batch of `count` messages, by the HTTP response."""
    document = _parse_json(body)
    if status == 200:  # noqa: PLR2004 - OK
        return _parse_results(document, count)
    code, text = _error_of(document)
    reason = f"Postmark returned {status}" + (f", code {code}" if code else "") + (f": {text}" if text else "")
    if status >= 500 or status == 408 or status < 300:  # noqa: PLR2004 - it is not known what was done
        return InDoubt(reason=reason)
    if RATE_LIMITED in (status, code):
        return NotSent(reason=reason, retry_after_seconds=_parse_retry_after(retry_after))
    if status in (413, 422) and code not in _ACCOUNT_CODES:
        submission_status = SubmissionStatus.INACTIVE if code == _INACTIVE else SubmissionStatus.REFUSED
        return BatchRefused(code=code, reason=text or reason, status=submission_status)
    if status == 401 or code in _ACCOUNT_CODES:  # noqa: PLR2004 - Unauthorized
        return AccountRefused(code=code or status, reason=_ADVICE.get(code or 10, reason))
    return AccountRefused(
        code=code or status, reason=f"{reason}. Check NUDGE_POSTMARK__BASE_URL, then resume paused campaigns."
    )


def _parse_results(document: object, count: int) -> Outcome:
    """The results in a 200 response; in doubt unless there is a valid one for each message."""
    if not isinstance(document, list) or len(document) != count:
        return InDoubt(reason="Postmark's response cannot be read")
    try:
        return BatchProcessed(results=[_parse_result(item) for item in document])
    except (KeyError, TypeError, AttributeError):
        return InDoubt(reason="Postmark's response cannot be read")


def _parse_result(item: Mapping[str, Any]) -> SubmissionResult:
    """The result of one message in a 200 response. Raises `KeyError` or `TypeError` if it is not valid."""
    code = item["ErrorCode"]
    if code == 0:
        message_id = item["MessageID"]
        if not isinstance(message_id, str) or _without_nul(message_id) != message_id:
            raise TypeError("MessageID is not a valid string")
        return SubmissionResult(SubmissionStatus.ACCEPTED, message_id)
    if not isinstance(code, int) or abs(code) > _MAX_CODE:
        raise TypeError("ErrorCode is not a valid integer")
    text = _without_nul(item.get("Message")) or f"Postmark's code {code}"
    if code == _INACTIVE:
        return SubmissionResult(SubmissionStatus.INACTIVE, None, code, text)
    if code == RATE_LIMITED:
        return SubmissionResult(SubmissionStatus.RETRY_LATER, None, code, text)
    if code in _ACCOUNT_CODES:
        return SubmissionResult(SubmissionStatus.ACCOUNT_REFUSED, None, code, _ADVICE.get(code, text))
    return SubmissionResult(SubmissionStatus.REFUSED, None, code, text)


def _parse_page(document: object) -> _SearchPage:
    """Parse the response to a search; raises `SearchFailed` if it is not valid."""
    match document:
        case {"Messages": list(hits), "TotalCount": int(total)} if all(isinstance(hit, dict) for hit in hits):
            return _SearchPage(hits, total)
    raise SearchFailed("The response of Postmark's search cannot be read.")


def _message_id_of(hit: Mapping[str, object]) -> str:
    """The message id of a result. Raises `SearchFailed` if there is none: the message exists, under an unknown id."""
    message_id = hit.get("MessageID")
    if not isinstance(message_id, str) or _without_nul(message_id) != message_id:
        raise SearchFailed("Postmark's search found a message without a readable id.")
    return message_id


def _parse_json(body: bytes) -> object:
    """The JSON of a body; None if it is not JSON."""
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document


def _error_of(document: object) -> tuple[int, str]:
    """The code and text of an error document; 0 and "" for anything else."""
    if not isinstance(document, dict):
        return 0, ""
    code = document.get("ErrorCode")
    return code if isinstance(code, int) and abs(code) <= _MAX_CODE else 0, _without_nul(document.get("Message"))


def _without_nul(value: object) -> str:
    """The text without NUL characters, which PostgreSQL cannot store."""
    return str(value or "").replace("\x00", "")


def _parse_retry_after(retry_after: str | None) -> float | None:
    """Retry-After in seconds, up to a maximum; dates, which Postmark does not use, are ignored."""
    return min(float(retry_after), _MAX_RETRY_AFTER_SECONDS) if retry_after and retry_after.isdecimal() else None


def _describe(error: BaseException) -> str:
    """The class and message of an error."""
    return f"{type(error).__name__} {error}".strip()
